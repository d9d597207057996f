"""Seeded batches from a posterior shard set, with memory that does not grow with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from asr_kd.data.block_source import FEATURES, BlockSource, Frames
from asr_kd.data.windows import Batch, ContextWindow, FramePool
from asr_kd.distill.apart import TeacherChoice, stored_mean
from asr_kd.distill.dense_code import DenseCode
from asr_kd.distill.logit_matching import TEACHER_LOGITS, require_logits, teacher_logits
from asr_kd.distill.loss import NO_LABEL
from asr_kd.distill.retemper import retempering_power
from asr_kd.distill.shard_sample import StoredUtterance
from asr_kd.distill.shard_set import ShardSet
from asr_kd.errors import ShardError

PDF_IDS = "pdf_ids"

_DECODED_TOGETHER = 2000
"""Frames: enough to share the cost of calls, few enough for the processor's cache."""

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
    ) -> None:
        self._set = shard_set
        self._shards = shard_set.shards(splits)
        self._features = features
        header = shard_set.header
        self._mean = None if teachers is None else stored_mean(header, teachers, shard_set.location)
        self._power = retempering_power(
            header, temperature or header.temperature, shard_set.location, apart=self._mean is not None
        )
        self._as_logits = as_logits
        if as_logits:
            require_logits(header, shard_set.location)
        counts = [shard.num_frames for shard in self._shards]
        super().__init__(counts, batch_size, window, pool_frames, seed, rank, world_size, num_streams)

    def _read(self, part: int) -> list[Frames]:
        shard = self._shards[part]
        frames: list[Frames] = []
        for group in grouped(self._set.read(shard)):
            frames += self._frames(group)
        got = sum(len(utterance[FEATURES]) for utterance in frames)
        if got != shard.num_frames:
            raise ShardError("frames missing", where=shard.name, expected=shard.num_frames, got=got)
        return frames

    def _frames(self, group: list[StoredUtterance]) -> list[Frames]:
        """Return the frames of some utterances; they are decoded together, which costs less."""
        lengths = [len(utterance) for utterance in group]
        features = np.concatenate(
            [self._features_of(utterance) for utterance in group], dtype=np.float16, casting="unsafe"
        )
        pdf_ids = np.concatenate(
            [_labels_of(utterance) for utterance in group], dtype=np.int32, casting="unsafe"
        )
        tensors = {
            FEATURES: torch.from_numpy(features),
            PDF_IDS: torch.from_numpy(pdf_ids),
            **self._targets(group, lengths),
        }
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

    def _targets(self, group: list[StoredUtterance], lengths: list[int]) -> dict[str, Tensor]:
        try:
            return self._decoded(group, lengths)
        except ValueError as error:
            if len(group) > 1:  # One of them will name itself.
                for utterance in group:
                    self._targets([utterance], [len(utterance)])
            raise ShardError(f"targets cannot be decoded: {error}", where=group[-1].utt_id) from None

    def _decoded(self, group: list[StoredUtterance], lengths: list[int]) -> dict[str, Tensor]:
        code = self._set.code
        if self._as_logits:
            assert isinstance(code, DenseCode)
            log_q = code.log_posteriors([each.targets for each in group], lengths)
            return {TEACHER_LOGITS: teacher_logits(log_q, self._set.header.temperature).half()}
        if self._mean is not None:
            return self._mean.decode(code, [each.teachers for each in group], lengths, self._power).tensors()
        return code.decode_batch([each.targets for each in group], lengths, self._power).tensors()

    def _gather(self, pool: FramePool, frames: Tensor) -> Batch:
        batch = pool.gather(frames)
        return Batch(batch.windows.float(), {**batch.targets, PDF_IDS: batch.targets[PDF_IDS].long()})


def grouped(utterances: Iterable[StoredUtterance]) -> Iterator[list[StoredUtterance]]:
    """Yield utterances in groups that are decoded together."""
    group: list[StoredUtterance] = []
    num_frames = 0
    for utterance in utterances:
        group.append(utterance)
        num_frames += len(utterance)
        if num_frames >= _DECODED_TOGETHER:
            yield group
            group, num_frames = [], 0
    if group:
        yield group


def _labels_of(utterance: StoredUtterance) -> np.ndarray[Any, Any]:
    return np.full(len(utterance), NO_LABEL) if utterance.pdf_ids is None else utterance.pdf_ids
