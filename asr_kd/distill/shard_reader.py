"""Seeded batches from a posterior shard set, with memory that does not grow with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from asr_kd.data.windows import Batch, ContextWindow, FramePool
from asr_kd.distill.epoch_plan import Block, EpochPlan
from asr_kd.distill.loss import NO_LABEL
from asr_kd.distill.retemper import retempering_power
from asr_kd.distill.shard_sample import StoredUtterance
from asr_kd.distill.shard_set import ShardSet
from asr_kd.errors import ShardError

PDF_IDS = "pdf_ids"

FeatureLookup = Callable[[str, str], np.ndarray[Any, Any]]
"""Returns other features ``[T, D]`` of an utterance than the stored ones, by utt_id and view."""

Frames = dict[str, Tensor]
"""One utterance in memory: ``features`` and the targets, each ``[T, ...]``."""


class ShardBatchSource:
    """A :class:`~asr_kd.data.windows.BatchSource` over some splits of a shard set.

    Every epoch has a new seeded order of the shards. Blocks of them are loaded, the next in a thread while
    the batches of one are gathered; the frames of a block are shuffled over its batches. When all frames fit
    in the pool they are loaded once and shuffled over the whole epoch. Every frame is seen once an epoch.

    Args:
        shard_set: The shard set.
        splits: Which of its splits.
        batch_size: Most frames of a batch; sizes differ by one at most.
        window: Context.
        pool_frames: Most frames in memory.
        seed: With the epoch it fixes the order.
        rank: Of this process.
        world_size: Number of processes; each sees its own part of the frames, in as many batches.
        features: Another frontend's features, joined by utt_id and frame; None takes the stored ones.
        temperature: To bring the targets to; None leaves them at the stored one.

    Raises:
        ShardError: For a split that is not stored or a temperature that cannot be had; later, for damaged
            shards and features that do not fit.
    """

    def __init__(
        self,
        shard_set: ShardSet,
        splits: Sequence[str],
        batch_size: int,
        window: ContextWindow,
        pool_frames: int = 2_000_000,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        features: FeatureLookup | None = None,
        temperature: float | None = None,
    ) -> None:
        self._set = shard_set
        self._shards = shard_set.shards(splits)
        self._window = window
        self._seed = seed
        self._rank = rank
        self._features = features
        header = shard_set.header
        self._power = retempering_power(header, temperature or header.temperature, shard_set.location)
        counts = [shard.num_frames for shard in self._shards]
        self._fits = sum(counts) <= pool_frames
        # Two blocks are in memory: one that is used and the next one.
        self._plan = EpochPlan(counts, batch_size, pool_frames // 2, rank, world_size)
        self._whole: FramePool | None = None
        self._last_shard: tuple[int, list[Frames]] | None = None

    @property
    def num_frames(self) -> int:
        """Frames that this rank sees in one epoch."""
        return self._plan.num_frames

    @property
    def batches_per_epoch(self) -> int:
        """Batches in one epoch, the same on every rank."""
        return self._plan.num_batches

    def epoch(self, epoch: int, first_batch: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch from ``first_batch`` on, without reading blocks before it."""
        if first_batch >= self.batches_per_epoch:
            return
        if self._fits:
            yield from self._epoch_in_memory(epoch, first_batch)
            return
        order = torch.randperm(len(self._shards), generator=self._generator(epoch)).tolist()
        numbers = range(self._plan.block_of(first_batch), self._plan.num_blocks)
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="shards") as loader:
            loading: Future[tuple[FramePool, int]] = loader.submit(
                self._load, self._plan.block(numbers[0], order)
            )
            for number in numbers:
                pool, offset = loading.result()
                if number + 1 < self._plan.num_blocks:
                    loading = loader.submit(self._load, self._plan.block(number + 1, order))
                block = self._plan.block(number, order)
                generator = self._generator(epoch, self._rank, number)
                frames = torch.randperm(sum(block.batch_sizes), generator=generator) + offset
                parts = torch.split(frames, list(block.batch_sizes))
                for batch, part in enumerate(parts, start=block.first_batch):
                    if batch >= first_batch:
                        yield _batch(pool, part)

    def _epoch_in_memory(self, epoch: int, first_batch: int) -> Iterator[Batch]:
        if self._whole is None:
            shards = range(len(self._shards))
            self._whole = self._pool([frames for shard in shards for frames in self._read(shard)])
            self._last_shard = None
        order = torch.randperm(len(self._whole), generator=self._generator(epoch))
        edges = [self._plan.first_frame(b) for b in range(first_batch, self.batches_per_epoch + 1)]
        for first, last in pairwise(edges):
            yield _batch(self._whole, order[first:last])

    def _generator(self, *path: int) -> torch.Generator:
        state = np.random.SeedSequence([self._seed, *path]).generate_state(1, np.uint64)
        return torch.Generator().manual_seed(int(state[0] >> 1))

    def _load(self, block: Block) -> tuple[FramePool, int]:
        """Return a pool of the utterances that a block touches, and where its first frame is in the pool."""
        utterances: list[Frames] = []
        offset = 0
        for span in block.spans:
            first = 0
            for frames in self._read(span.shard):
                last = first + len(frames["features"])
                if last > span.first and first < span.last:
                    if not utterances:
                        offset = span.first - first
                    utterances.append(frames)
                first = last
        return self._pool(utterances), offset

    def _read(self, number: int) -> list[Frames]:
        """Return a shard's utterances; the last one is kept, the next block often begins with its rest."""
        if self._last_shard is None or self._last_shard[0] != number:
            shard = self._shards[number]
            frames = [self._frames(utterance) for utterance in self._set.read(shard)]
            got = sum(len(utterance["features"]) for utterance in frames)
            if got != shard.num_frames:
                raise ShardError("frames missing", where=shard.name, expected=shard.num_frames, got=got)
            self._last_shard = number, frames
        return self._last_shard[1]

    def _frames(self, utterance: StoredUtterance) -> Frames:
        num_frames = len(utterance)
        features = utterance.features
        if self._features is not None:
            features = self._features(utterance.utt_id, utterance.view)
            if len(features) != num_frames:
                raise ShardError(
                    "features and targets differ in their number of frames",
                    where=utterance.utt_id,
                    expected=num_frames,
                    got=len(features),
                    hint="use the same frame shift and number of frames for every frontend",
                )
        pdf_ids = utterance.pdf_ids
        labels = np.full(num_frames, NO_LABEL) if pdf_ids is None else pdf_ids
        try:
            soft = self._set.code.decode(utterance.targets, num_frames, self._power)
        except ValueError as error:
            raise ShardError(f"targets cannot be decoded: {error}", where=utterance.utt_id) from None
        return {
            "features": torch.from_numpy(np.array(features, dtype=np.float16)),
            PDF_IDS: torch.from_numpy(labels.astype(np.int32)),
            **soft.tensors(),
        }

    def _pool(self, utterances: list[Frames]) -> FramePool:
        names = [name for name in utterances[0] if name != "features"]
        return FramePool(
            [frames["features"] for frames in utterances],
            {name: [frames[name] for frames in utterances] for name in names},
            self._window,
        )


def _batch(pool: FramePool, frames: Tensor) -> Batch:
    batch = pool.gather(frames)
    return Batch(batch.windows.float(), {**batch.targets, PDF_IDS: batch.targets[PDF_IDS].long()})
