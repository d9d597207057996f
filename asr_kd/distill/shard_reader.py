"""Seeded batches from a posterior shard set, with memory that does not grow with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from asr_kd.data.block_source import BlockSource, Frames
from asr_kd.data.windows import Batch, ContextWindow, FramePool
from asr_kd.distill.loss import NO_LABEL
from asr_kd.distill.retemper import retempering_power
from asr_kd.distill.shard_sample import StoredUtterance
from asr_kd.distill.shard_set import ShardSet
from asr_kd.errors import ShardError

PDF_IDS = "pdf_ids"

FeatureLookup = Callable[[str, str], np.ndarray[Any, Any]]
"""Returns features ``[T, D]`` of an utterance, by utt_id and view, in place of the stored ones."""


class ShardBatchSource(BlockSource):
    """Batches from some splits of a shard set; see :class:`~asr_kd.data.block_source.BlockSource`.

    Args:
        shard_set: The shard set.
        splits: Which of its splits.
        batch_size: Most frames of a batch, over all ranks.
        window: Context.
        pool_frames: Most frames in memory.
        seed: With the epoch it fixes the order.
        rank: Of this process.
        world_size: Number of processes; each sees its share of every batch.
        num_streams: Even parts of the epoch that are read beside each other.
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
        num_streams: int = 1,
        features: FeatureLookup | None = None,
        temperature: float | None = None,
    ) -> None:
        self._set = shard_set
        self._shards = shard_set.shards(splits)
        self._features = features
        header = shard_set.header
        self._power = retempering_power(header, temperature or header.temperature, shard_set.location)
        counts = [shard.num_frames for shard in self._shards]
        super().__init__(counts, batch_size, window, pool_frames, seed, rank, world_size, num_streams)

    def _read(self, part: int) -> list[Frames]:
        shard = self._shards[part]
        frames = [self._frames(utterance) for utterance in self._set.read(shard)]
        got = sum(len(utterance["features"]) for utterance in frames)
        if got != shard.num_frames:
            raise ShardError("frames missing", where=shard.name, expected=shard.num_frames, got=got)
        return frames

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

    def _gather(self, pool: FramePool, frames: Tensor) -> Batch:
        batch = pool.gather(frames)
        return Batch(batch.windows.float(), {**batch.targets, PDF_IDS: batch.targets[PDF_IDS].long()})
