"""The gain against the number of teachers, from stored posteriors: frame accuracy of subsets' means."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from asr_kd.distill.apart import merging_refusal
from asr_kd.distill.merge import align_teachers, mean_of_aligned
from asr_kd.distill.shard_sample import StoredUtterance
from asr_kd.distill.shard_set import ShardSet, open_shard_set
from asr_kd.distill.target_decoder import grouped
from asr_kd.distill.targets import SoftTargets
from asr_kd.errors import ShardError

_ELEMENTS_AT_ONCE = 1 << 23


@dataclass(frozen=True)
class GainRow:
    """Means of N teachers.

    Attributes:
        num_teachers: N.
        num_subsets: Sets of N teachers that were tried.
        accuracy: Their mean share of frames whose most probable senone is the aligned one.
        sd: Over the sets; 0 for one.
    """

    num_teachers: int
    num_subsets: int
    accuracy: float
    sd: float


@dataclass(frozen=True)
class TeacherGain:
    """Frame accuracy against the number of teachers.

    Attributes:
        rows: For 1 teacher, 2 and so on.
        stored_mean: Accuracy of the mean that students learn from.
        num_frames: Labelled frames that were counted.
    """

    rows: list[GainRow]
    stored_mean: float
    num_frames: int


def teacher_gain(location: str | Path, split: str = "dev", max_subsets: int = 100) -> TeacherGain:
    """Return the frame accuracy of the means of stored teachers, at the stored temperature.

    Args:
        location: Of a shard set that keeps its teachers apart.
        split: Whose labelled frames are counted, of the plain view.
        max_subsets: Where there are more sets of N teachers than this, so many of them are drawn.

    Raises:
        ShardError: For a set of means alone, codes that cannot be averaged, or a split without labels.
    """
    shard_set = open_shard_set(location)
    header = shard_set.header
    reason = merging_refusal(header.stored)
    if reason is not None:
        raise ShardError(f"teachers cannot be told apart: {reason}", where=shard_set.location)
    subsets, masks = _subsets(header.weights or (1.0,) * len(header.teachers), max_subsets)
    right, right_stored, total = torch.zeros(len(subsets), dtype=torch.int64), 0, 0
    for group in _labelled(shard_set, split):
        lengths = [len(each) for each in group]
        labels = _labels(group)
        stored = shard_set.code.decode_batch([each.targets for each in group], lengths)
        parts = [
            shard_set.code.decode_batch([each.teachers[number] for each in group], lengths)
            for number in range(len(header.teachers))
        ]
        right_stored += int((stored.likeliest() == labels).sum())
        right += _right(parts, masks, labels, shard_set)
        total += len(labels)
    if not total:
        raise ShardError(f"no labelled frames in {split}", where=shard_set.location)
    return TeacherGain(_rows(subsets, (right.double() / total).tolist()), right_stored / total, total)


def stored_accuracy(location: str | Path, split: str = "dev") -> float:
    """Return the share of a split's labelled frames whose most probable stored senone is the aligned one.

    Raises:
        ShardError: For a split without labels.
    """
    shard_set = open_shard_set(location)
    right, total = 0, 0
    for group in _labelled(shard_set, split):
        stored = shard_set.code.decode_batch([each.targets for each in group], [len(each) for each in group])
        right += int((stored.likeliest() == _labels(group)).sum())
        total += len(stored)
    if not total:
        raise ShardError(f"no labelled frames in {split}", where=shard_set.location)
    return right / total


def _labels(group: Sequence[StoredUtterance]) -> Tensor:
    return torch.cat([torch.from_numpy(np.asarray(each.pdf_ids, dtype=np.int64)) for each in group])


def _rows(subsets: list[tuple[int, ...]], accuracies: list[float]) -> list[GainRow]:
    by_number: dict[int, list[float]] = {}
    for subset, accuracy in zip(subsets, accuracies, strict=True):
        by_number.setdefault(len(subset), []).append(accuracy)
    return [
        GainRow(number, len(found), statistics.mean(found), statistics.stdev(found) if found[1:] else 0.0)
        for number, found in by_number.items()
    ]


def _subsets(weights: Sequence[float], most: int) -> tuple[list[tuple[int, ...]], Tensor]:
    """Return sets of 1, 2, ..., N teachers, all of a size or ``most`` that are drawn, and their weights."""
    total = len(weights)
    chosen: list[tuple[int, ...]] = []
    generator = random.Random(0)  # noqa: S311  # no secret
    for size in range(1, total + 1):
        if math.comb(total, size) <= most:
            chosen += combinations(range(total), size)
            continue
        drawn: set[tuple[int, ...]] = set()
        while len(drawn) < most:
            drawn.add(tuple(sorted(generator.sample(range(total), size))))
        chosen += sorted(drawn)
    chosen = [subset for subset in chosen if sum(weights[number] for number in subset) > 0]
    masks = torch.zeros(len(chosen), total)
    for row, subset in enumerate(chosen):
        masks[row, list(subset)] = torch.tensor([weights[number] for number in subset])
    return chosen, masks / masks.sum(1, keepdim=True)


def _labelled(shard_set: ShardSet, split: str) -> Iterator[list[StoredUtterance]]:
    for shard in shard_set.shards([split]):
        utterances = shard_set.read(shard)
        yield from grouped(each for each in utterances if each.pdf_ids is not None and not each.view)


def _right(parts: list[SoftTargets], masks: Tensor, labels: Tensor, shard_set: ShardSet) -> Tensor:
    """Return the number of right frames of each subset's mean ``[C]``."""
    header = shard_set.header
    prior = torch.tensor(header.prior)
    width = parts[0].probs.shape[1] * (1 if parts[0].is_dense else len(parts))
    at_once = max(1, _ELEMENTS_AT_ONCE // (width * max(masks.shape)))
    right = torch.zeros(len(masks), dtype=torch.int64)
    for first in range(0, len(labels), at_once):
        rows = slice(first, first + at_once)
        aligned = align_teachers([part.rows(rows) for part in parts], header.num_senones, prior)
        best = mean_of_aligned(aligned.probs, masks, header.averaging == "geometric").argmax(2)  # [T, C]
        if aligned.ids is not None:
            best = aligned.ids.gather(1, best)
        right += (best == labels[rows, None]).sum(0)
    return right
