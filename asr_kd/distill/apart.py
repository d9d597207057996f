"""Teachers whose posteriors are stored apart: which of them a student learns from, and their mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from asr_kd.distill.bits import Data
from asr_kd.distill.damage import Damage
from asr_kd.distill.dense_code import Dense
from asr_kd.distill.kept_code import Nucleus, Threshold, TopK
from asr_kd.distill.merge import merge_teachers
from asr_kd.distill.sampled_code import SampledCode
from asr_kd.distill.shard_header import ShardSetHeader
from asr_kd.distill.sparse import PosteriorCode
from asr_kd.distill.stored import StoredPosteriors
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


def merging_refusal(stored: StoredPosteriors) -> str | None:
    """Return why the mean of some teachers cannot be had from what is stored, or None when it can."""
    code = stored.code
    if not stored.keep_apart:
        return "the mean alone is stored (ensemble.keep_apart is false)"
    if isinstance(code, TopK | Nucleus | Threshold) and code.tail != "class":
        return f"senones that one teacher kept and another did not are unknown with tail: {code.tail}"
    if stored.averaging == "geometric" and not isinstance(code, Dense | None):
        return "a geometric mean needs every senone of each teacher: code dense"
    return None


def stored_mean(header: ShardSetHeader, teachers: TeacherChoice, where: str = "") -> StoredMean:
    """Return the mean of some teachers of a shard set; the arguments are those of :func:`shares`.

    Raises:
        ShardError: As there.
    """
    of_each = shares(header.stored, teachers, where)
    return StoredMean(header, tuple(of_each), tuple(of_each.values()))


def shares(stored: StoredPosteriors, teachers: TeacherChoice, where: str = "") -> dict[int, float]:
    """Return the weights of some stored teachers in their mean, by their numbers from 0; they sum to 1.

    Args:
        stored: What there is.
        teachers: The first N, or their numbers from 1.
        where: The shard set or the setting, for the message.

    Raises:
        ShardError: With the reason, when they are not stored or cannot be averaged.
    """
    total = stored.num_teachers
    numbers = list(range(1, teachers + 1)) if isinstance(teachers, int) else list(teachers)
    reason = merging_refusal(stored)
    if reason is not None:
        raise ShardError(
            f"some of the teachers cannot be chosen: {reason}",
            where=where or None,
            hint="train from all teachers (student.teachers: null), or run the ensemble stage again",
        )
    if not numbers or len(set(numbers)) < len(numbers) or not all(1 <= number <= total for number in numbers):
        raise ShardError(
            "no such choice of teachers", where=where or None, expected=f"of 1 to {total}", got=teachers
        )
    chosen = tuple(number - 1 for number in numbers)
    weights = [1.0 if stored.weights is None else stored.weights[number] for number in chosen]
    if sum(weights) == 0:
        raise ShardError("the chosen teachers have no weight", where=where or None, got=teachers)
    return {number: weight / sum(weights) for number, weight in zip(chosen, weights, strict=True)}
