"""Seeded batches of frames from parts of a corpus, with memory that does not grow with it."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from asr_kd.data.augment import view_labels
from asr_kd.data.epoch_plan import Block, EpochPlan
from asr_kd.data.frame_store import FrameStore
from asr_kd.data.windows import Batch, ContextWindow, FramePool
from asr_kd.errors import AsrKdError

FEATURES = "features"

Frames = dict[str, Tensor]
"""One utterance in memory: ``features`` and the targets, each ``[T, ...]``."""

_PART_FRAMES = 50_000


class BlockSource(ABC):
    """A :class:`~asr_kd.data.windows.BatchSource` over parts of a corpus, such as shards.

    Every epoch has a new seeded order of the parts. Blocks of them are loaded, the next one in a thread while
    the batches of one are gathered; the frames of a block are shuffled over its batches. When all frames fit
    in the pool they are loaded once and shuffled over the whole epoch. Every frame is seen once an epoch.

    The batches do not depend on the number of ranks: of W ranks each gets a W-th of every batch, so that a
    run may go on with more or fewer of them. Where the frames do not fit, a rank reads the streams that its
    share lies in: all the frames when there is one stream, a W-th of them when there are W.

    Args:
        part_frames: Number of frames of each part.
        batch_size: Most frames of a batch, over all ranks; sizes differ by one a stream at most.
        window: Context.
        pool_frames: Most frames in memory.
        seed: With the epoch it fixes the order.
        rank: Of this process.
        world_size: Number of processes W.
        num_streams: Even parts of the epoch that are read beside each other, each with blocks of its own,
            when the frames do not fit. Batches of another number of streams are other batches.
    """

    def __init__(
        self,
        part_frames: Sequence[int],
        batch_size: int,
        window: ContextWindow,
        pool_frames: int,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        num_streams: int = 1,
    ) -> None:
        self._num_parts = len(part_frames)
        self._window = window
        self._seed = seed
        self._fits = sum(part_frames) <= pool_frames
        num_streams = 1 if self._fits else num_streams
        # Two blocks of each stream are in memory: one that is used and the next one.
        sizes = batch_size // num_streams, pool_frames // (2 * num_streams)
        self._plans = [EpochPlan(part_frames, *sizes, stream, num_streams) for stream in range(num_streams)]
        smallest = self._plans[0].num_frames // self._plans[0].num_batches
        if smallest * num_streams < world_size:
            raise AsrKdError(
                "batches are too small for so many ranks", got=f"{world_size} ranks, {batch_size} frames"
            )
        self._shares = [_Share.of(stream, num_streams, rank, world_size) for stream in range(num_streams)]
        self._whole: list[FramePool] = []  # one at most, which sources that differ in their seed share
        self._last_parts: dict[int, tuple[int, list[Frames]]] = {}

    def reseeded(self, seed: int) -> Self:
        """Return a source of the same frames with an order of its own; frames that fit are in memory once."""
        other = copy.copy(self)
        other._seed = seed
        other._last_parts = {}
        return other

    @abstractmethod
    def _read(self, part: int) -> list[Frames]:
        """Read a part's utterances."""

    def _gather(self, pool: FramePool, frames: Tensor) -> Batch:
        """Return a batch as the training wants it, from frames given by their index in a pool."""
        return pool.gather(frames)

    @property
    def num_frames(self) -> int:
        """Frames of one epoch, those of all ranks."""
        return sum(plan.num_frames for plan in self._plans)

    @property
    def batches_per_epoch(self) -> int:
        """Batches in one epoch, the same on every rank."""
        return self._plans[0].num_batches

    def epoch(self, epoch: int, first_batch: int = 0) -> Iterator[Batch]:
        """Yield this rank's share of batches from ``first_batch`` on, without reading blocks before it."""
        if first_batch >= self.batches_per_epoch:
            return
        if self._fits:
            yield from self._epoch_in_memory(epoch, first_batch)
            return
        order = torch.randperm(self._num_parts, generator=self._generator(epoch)).tolist()
        streams = [
            self._stream(epoch, order, first_batch, stream)
            for stream, share in enumerate(self._shares)
            if share.first < share.last
        ]
        for batches in zip(*streams, strict=True):
            yield batches[0] if len(batches) == 1 else _joined(batches)

    def _stream(self, epoch: int, order: list[int], first_batch: int, stream: int) -> Iterator[Batch]:
        plan, share = self._plans[stream], self._shares[stream]
        numbers = range(plan.block_of(first_batch), plan.num_blocks)
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="blocks") as loader:
            loading: Future[tuple[FramePool, int]] = loader.submit(
                self._load, plan.block(numbers[0], order), stream
            )
            for number in numbers:
                pool, offset = loading.result()
                if number + 1 < plan.num_blocks:
                    loading = loader.submit(self._load, plan.block(number + 1, order), stream)
                block = plan.block(number, order)
                generator = self._generator(epoch, stream, number)
                frames = torch.randperm(sum(block.batch_sizes), generator=generator) + offset
                # All of a block's at once, for a GPU is waited for.
                parts = torch.split(frames.to(pool.device), list(block.batch_sizes))
                for batch, part in enumerate(parts, start=block.first_batch):
                    if batch >= first_batch:
                        yield self._gather(pool, share.cut(part))

    def _epoch_in_memory(self, epoch: int, first_batch: int) -> Iterator[Batch]:
        if not self._whole:
            self._whole.append(
                self._pool([each for part in range(self._num_parts) for each in self._read(part)])
            )
        (whole,) = self._whole
        order = torch.randperm(len(whole), generator=self._generator(epoch)).to(whole.device)
        edges = [self._plans[0].first_frame(b) for b in range(first_batch, self.batches_per_epoch + 1)]
        for first, last in pairwise(edges):
            yield self._gather(whole, self._shares[0].cut(order[first:last]))

    def _generator(self, *path: int) -> torch.Generator:
        state = np.random.SeedSequence([self._seed, *path]).generate_state(1, np.uint64)
        return torch.Generator().manual_seed(int(state[0] >> 1))

    def _load(self, block: Block, stream: int) -> tuple[FramePool, int]:
        """Return a pool of the utterances that a block touches, and where its first frame is in the pool."""
        utterances: list[Frames] = []
        offset = 0
        for span in block.spans:
            first = 0
            for frames in self._read_or_keep(span.part, stream):
                last = first + len(frames[FEATURES])
                if last > span.first and first < span.last:
                    if not utterances:
                        offset = span.first - first
                    utterances.append(frames)
                first = last
        return self._pool(utterances), offset

    def _read_or_keep(self, part: int, stream: int) -> list[Frames]:
        """Return a part's utterances; the last is kept, for the next block often begins with its rest."""
        kept = self._last_parts.get(stream)
        if kept is None or kept[0] != part:
            kept = self._last_parts[stream] = part, self._read(part)
        return kept[1]

    def _pool(self, utterances: list[Frames]) -> FramePool:
        names = [name for name in utterances[0] if name != FEATURES]
        return FramePool(
            [frames[FEATURES] for frames in utterances],
            {name: [frames[name] for frames in utterances] for name in names},
            self._window,
        )


@dataclass(frozen=True)
class _Share:
    """What a rank takes of a stream's batches: from ``first / whole`` of the frames to ``last / whole``."""

    first: int
    last: int
    whole: int

    @classmethod
    def of(cls, stream: int, num_streams: int, rank: int, world_size: int) -> _Share:
        first = rank * num_streams - stream * world_size
        lowest, highest = (min(max(edge, 0), world_size) for edge in (first, first + num_streams))
        return cls(lowest, highest, world_size)

    def cut(self, frames: Tensor) -> Tensor:
        return frames[len(frames) * self.first // self.whole : len(frames) * self.last // self.whole]


def _joined(batches: Sequence[Batch]) -> Batch:
    targets = {name: torch.cat([batch.targets[name] for batch in batches]) for name in batches[0].targets}
    return Batch(torch.cat([batch.windows for batch in batches]), targets)


class StoreSource(BlockSource):
    """Batches from stored features and stored targets, joined by utt_id.

    Args:
        features: float32 ``[T, D]`` an utterance.
        targets: Stores by the target's name, such as ``pdf_ids``.
        utt_ids: The utterances to take; all are in every store.
        batch_size: Most frames of a batch.
        window: Context.
        pool_frames: Most frames in memory.
        seed: With the epoch it fixes the order.
        rank: Of this process.
        world_size: Number of processes.
        views: Features of augmented views of the same utterances; an epoch goes over these too, with the
            targets of the original at their frames (:func:`asr_kd.data.augment.view_labels`).

    Raises:
        AsrKdError: When features and targets differ in their number of frames, naming the utterance.
    """

    def __init__(
        self,
        features: FrameStore,
        targets: dict[str, FrameStore],
        utt_ids: Sequence[str],
        batch_size: int,
        window: ContextWindow,
        pool_frames: int,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        views: Sequence[FrameStore] = (),
    ) -> None:
        self._features = [features, *views]
        self._targets = targets
        for utt_id in utt_ids:
            self._check(utt_id)
        takes = [(view, utt_id) for view in range(len(self._features)) for utt_id in utt_ids]
        lengths = np.asarray([_num_frames(self._features[view], utt_id) for view, utt_id in takes])
        part_of = (np.cumsum(lengths) - 1) // _PART_FRAMES
        members = [np.flatnonzero(part_of == part) for part in np.unique(part_of)]
        self._parts = [[takes[int(index)] for index in part] for part in members]
        counts = [int(lengths[part].sum()) for part in members]
        super().__init__(counts, batch_size, window, pool_frames, seed, rank, world_size)

    def _check(self, utt_id: str) -> None:
        stores = {FEATURES: self._features[0], **self._targets}
        counts = {name: _num_frames(store, utt_id) for name, store in stores.items()}
        if len(set(counts.values())) > 1:
            raise AsrKdError(
                "features and targets differ in their number of frames",
                where=utt_id,
                got=", ".join(f"{count} of {name}" for name, count in counts.items()),
                hint="use one frame shift for models and aligner",
            )

    def _read(self, part: int) -> list[Frames]:
        return [self._take(view, utt_id) for view, utt_id in self._parts[part]]

    def _take(self, view: int, utt_id: str) -> Frames:
        features = self._features[view].get(utt_id)
        targets = {
            name: view_labels(store.get(utt_id), len(features)) for name, store in self._targets.items()
        }
        return {name: _copied(frames) for name, frames in {FEATURES: features, **targets}.items()}


def _num_frames(store: FrameStore, utt_id: str) -> int:
    first, last = store.span(utt_id)
    return int(last - first)


def _copied(frames: np.ndarray[Any, Any]) -> Tensor:
    """Return frames as a tensor; the stores are read-only memory maps, which torch does not accept."""
    return torch.from_numpy(np.array(frames))
