"""Teachers whose posteriors are stored apart: which of them a student learns from, and their mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from asr_kd.distill.bits import Data
from asr_kd.distill.damage import Damage
from asr_kd.distill.kept_code import KeptCode
from asr_kd.distill.merge import merge_teachers
from asr_kd.distill.sampled_code import SampledCode
from asr_kd.distill.shard_header import ShardSetHeader
from asr_kd.distill.sparse import PosteriorCode, make_code
from asr_kd.distill.targets import SoftTargets
from asr_kd.errors import ShardError

TeacherChoice = int | Sequence[int]
"""The first N teachers, or the numbers of some, from 1."""


@dataclass(frozen=True)
class StoredMean:
    """The mean of some stored teachers.

    Attributes:
        header: Of the shard set.
        numbers: Which teachers, from 0.
        weights: One a number; they sum to 1.
    """

    header: ShardSetHeader
    numbers: tuple[int, ...]
    weights: tuple[float, ...]

    def decode(
        self,
        code: PosteriorCode,
        data: Sequence[Sequence[Data]],
        lengths: Sequence[int],
        power: float = 1.0,
        damage: Damage | None = None,
    ) -> SoftTargets:
        """Return the targets of several utterances, one after another.

        Args:
            code: Of the set.
            data: The coded posteriors of all teachers, for each utterance.
            lengths: Frames of each utterance.
            power: Every teacher is raised to it before the mean is taken.
            damage: Tells the device to decode on.

        Raises:
            ValueError: When the bytes are damaged.
        """
        parts = [
            code.decode_batch([each[number] for each in data], lengths, power, damage)
            for number in self.numbers
        ]
        max_kept = code.max_kept
        if isinstance(code, SampledCode):
            max_kept = min(self.header.num_senones, max_kept * len(parts))
        geometric = self.header.averaging == "geometric"
        prior = torch.tensor(self.header.prior) if parts[0].tail is not None else None
        return merge_teachers(parts, self.weights, self.header.num_senones, max_kept, prior, geometric)


def merging_refusal(header: ShardSetHeader) -> str | None:
    """Return why the mean of some teachers cannot be had from a shard set, or None when it can."""
    code = make_code(header.code, header.num_senones)
    if not header.keep_apart:
        return "it holds the mean alone (ensemble.keep_apart was false)"
    if isinstance(code, KeptCode) and code.config.tail != "class":
        return f"senones that one teacher kept and another did not are unknown with tail: {code.config.tail}"
    if header.averaging == "geometric" and header.code.name != "dense":
        return "a geometric mean needs every senone of each teacher: code dense"
    return None


def stored_mean(header: ShardSetHeader, teachers: TeacherChoice, where: str = "") -> StoredMean:
    """Return the mean of some teachers of a shard set.

    Args:
        header: Of the set.
        teachers: The first N, or their numbers from 1.
        where: The set, for the message.

    Raises:
        ShardError: With the reason, when the set does not hold them or they cannot be averaged.
    """
    total = len(header.teachers)
    numbers = list(range(1, teachers + 1)) if isinstance(teachers, int) else list(teachers)
    reason = merging_refusal(header)
    if reason is not None:
        raise ShardError(
            f"some of its teachers cannot be chosen: {reason}",
            where=where or None,
            hint="train from all teachers (student.teachers: null), or run the ensemble stage again",
        )
    if not numbers or len(set(numbers)) < len(numbers) or not all(1 <= number <= total for number in numbers):
        raise ShardError(
            "no such choice of teachers", where=where or None, expected=f"of 1 to {total}", got=teachers
        )
    chosen = tuple(number - 1 for number in numbers)
    weights = [1.0 if header.weights is None else header.weights[number] for number in chosen]
    if sum(weights) == 0:
        raise ShardError("the chosen teachers have no weight", where=where or None, got=teachers)
    return StoredMean(header, chosen, tuple(weight / sum(weights) for weight in weights))
