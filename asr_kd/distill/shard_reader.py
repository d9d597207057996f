"""Seeded batches from a posterior shard set, with memory that does not grow with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from asr_kd.data.block_source import FEATURES, BlockSource, Frames
from asr_kd.data.windows import NO_LABEL, Batch, ContextWindow, FramePool
from asr_kd.distill.apart import TeacherChoice
from asr_kd.distill.damage import Damage
from asr_kd.distill.shard_sample import StoredUtterance
from asr_kd.distill.shard_set import ShardSet
from asr_kd.distill.target_decoder import TargetDecoder, grouped
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
        as_logits: Give the teacher's logits of zero mean, ``teacher_logits``, in place of soft targets.
        teachers: The mean of the first N stored teachers, or of some by their numbers from 1, in place of the
            stored mean.
        device: That packed targets are moved to and decoded on, and that keeps the pool; batches are there,
            and are the same.

    Raises:
        ShardError: For a split, temperature, logits or teachers that cannot be had; later, for
            damaged shards and features that do not fit.
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
        as_logits: bool = False,
        teachers: TeacherChoice | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self._set = shard_set
        self._shards = shard_set.shards(splits)
        self._features = features
        self._decoder = TargetDecoder(shard_set, temperature, as_logits, teachers, device)
        counts = [shard.num_frames for shard in self._shards]
        super().__init__(counts, batch_size, window, pool_frames, seed, rank, world_size, num_streams)

    def _read(self, part: int) -> list[Frames]:
        shard = self._shards[part]
        damage = Damage(self._decoder.device)
        groups: list[list[StoredUtterance]] = []
        frames: list[Frames] = []
        for group in grouped(self._set.read(shard), self._decoder.num_together):
            groups.append(group)
            frames += self._frames(group, damage)
        self._decoder.finish(groups, damage)
        got = sum(len(utterance[FEATURES]) for utterance in frames)
        if got != shard.num_frames:
            raise ShardError("frames missing", where=shard.name, expected=shard.num_frames, got=got)
        return frames

    def _frames(self, group: list[StoredUtterance], damage: Damage) -> list[Frames]:
        """Return the frames of some utterances; they are decoded together, which costs less."""
        lengths = [len(utterance) for utterance in group]
        features = np.concatenate(
            [self._features_of(utterance) for utterance in group], dtype=np.float16, casting="unsafe"
        )
        pdf_ids = np.concatenate(
            [_labels_of(utterance) for utterance in group], dtype=np.int32, casting="unsafe"
        )
        device = self._decoder.device
        tensors = {
            FEATURES: torch.from_numpy(features).to(device),
            PDF_IDS: torch.from_numpy(pdf_ids).to(device),
            **self._decoder.decode(group, damage),
        }
        if device.type == "cpu":
            # Converted once here and not, 26 times as many, in the windows.
            tensors[FEATURES] = tensors[FEATURES].float()
        parts = [torch.split(tensor, lengths) for tensor in tensors.values()]
        return [dict(zip(tensors, each, strict=True)) for each in zip(*parts, strict=True)]

    def _features_of(self, utterance: StoredUtterance) -> np.ndarray[Any, Any]:
        if self._features is None:
            return utterance.features
        features = self._features(utterance.utt_id, utterance.view)
        if len(features) != len(utterance):
            raise ShardError(
                "features and targets differ in their number of frames",
                where=utterance.utt_id,
                expected=len(utterance),
                got=len(features),
                hint="use the same frame shift and number of frames for every frontend",
            )
        return features

    def _gather(self, pool: FramePool, frames: Tensor) -> Batch:
        batch = pool.gather(frames)
        return Batch(batch.windows.float(), {**batch.targets, PDF_IDS: batch.targets[PDF_IDS].long()})


def _labels_of(utterance: StoredUtterance) -> np.ndarray[Any, Any]:
    return np.full(len(utterance), NO_LABEL) if utterance.pdf_ids is None else utterance.pdf_ids
