"""From stored utterances to the targets that a student learns from, on the device that keeps them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from asr_kd.distill.apart import TeacherChoice, stored_mean
from asr_kd.distill.damage import Damage
from asr_kd.distill.dense_code import DenseCode
from asr_kd.distill.logit_matching import TEACHER_LOGITS, require_logits, teacher_logits
from asr_kd.distill.retemper import retempering_power
from asr_kd.distill.shard_sample import StoredUtterance
from asr_kd.distill.shard_set import ShardSet
from asr_kd.errors import ShardError

_DECODED_TOGETHER = 2000
"""Frames: enough to share the cost of calls, few enough for the processor's cache."""
_ENTRIES_ON_GPU = 1 << 22
_SHARE_OF_GPU = 0.25


class TargetDecoder:
    """Decodes utterances' targets.

    Args:
        shard_set: That they are stored in.
        temperature: To bring them to; None leaves them at the stored one.
        as_logits: Give the teacher's logits of zero mean in place of soft targets.
        teachers: The stored teachers whose mean is taken, in place of the stored mean.
        device: To decode on.

    Raises:
        ShardError: For a temperature, logits or teachers that cannot be had.
    """

    def __init__(
        self,
        shard_set: ShardSet,
        temperature: float | None,
        as_logits: bool,
        teachers: TeacherChoice | None,
        device: torch.device | str,
    ) -> None:
        header, where = shard_set.header, shard_set.location
        self._code = shard_set.code
        self._stored_temperature = header.temperature
        self._mean = None if teachers is None else stored_mean(header, teachers, where)
        self._power = retempering_power(
            header.stored, temperature or header.temperature, where, apart=self._mean is not None
        )
        self._as_logits = as_logits
        if as_logits:
            require_logits(header.stored, where)
        self.device = torch.device(device)

    @property
    def num_together(self) -> int:
        """Frames that are best decoded together."""
        if self.device.type == "cpu":
            return _DECODED_TOGETHER
        return max(_DECODED_TOGETHER, _ENTRIES_ON_GPU // self._code.max_kept)

    def decode(self, group: Sequence[StoredUtterance], damage: Damage) -> dict[str, Tensor]:
        """Return the targets of some utterances, one after another, by name.

        Args:
            group: The utterances.
            damage: Tells the device; on a GPU it is read by :meth:`finish`.

        Raises:
            ShardError: For damaged bytes, naming the utterance.
        """
        try:
            return self._decoded(group, damage)
        except ValueError as error:
            for utterance in group if len(group) > 1 else ():  # One of them will name itself.
                self.decode([utterance], Damage())
            raise ShardError(f"targets cannot be decoded: {error}", where=group[-1].utt_id) from None

    def finish(self, groups: Iterable[Sequence[StoredUtterance]], damage: Damage) -> None:
        """Refuse what a GPU has found wrong in some groups; the processor then finds whose it is.

        Raises:
            ShardError: For damaged bytes, naming the utterance.
        """
        try:
            damage.finish()
        except ValueError as error:
            last = ""
            for group in groups:
                self.decode(group, Damage())
                last = group[-1].utt_id
            raise ShardError(f"targets cannot be decoded: {error}", where=last) from None

    def _decoded(self, group: Sequence[StoredUtterance], damage: Damage) -> dict[str, Tensor]:
        lengths = [len(utterance) for utterance in group]
        targets = [utterance.targets for utterance in group]
        if self._as_logits:
            assert isinstance(self._code, DenseCode)
            log_q = self._code.log_posteriors(targets, lengths, damage.device)
            return {TEACHER_LOGITS: teacher_logits(log_q, self._stored_temperature).half()}
        if self._mean is not None:
            apart = [utterance.teachers for utterance in group]
            return self._mean.decode(self._code, apart, lengths, self._power, damage).tensors()
        return self._code.decode_batch(targets, lengths, self._power, damage).tensors()


def grouped(
    utterances: Iterable[StoredUtterance], num_together: int = _DECODED_TOGETHER
) -> Iterator[list[StoredUtterance]]:
    """Yield utterances in groups of so many frames, or a few more, that are decoded together."""
    group: list[StoredUtterance] = []
    num_frames = 0
    for utterance in utterances:
        group.append(utterance)
        num_frames += len(utterance)
        if num_frames >= num_together:
            yield group
            group, num_frames = [], 0
    if group:
        yield group


def pool_device(
    shard_set: ShardSet, splits: Sequence[str], pool_frames: int, device: torch.device
) -> torch.device:
    """Return where the frames of a student are decoded and kept: its GPU when they fit there.

    Args:
        shard_set: The shard set.
        splits: Which of its splits.
        pool_frames: Most frames in memory.
        device: Of the student.
    """
    if device.type != "cuda":
        return torch.device("cpu")
    # With its number: the thread that loads has another current GPU.
    device = torch.device("cuda", torch.cuda.current_device() if device.index is None else device.index)
    header = shard_set.header
    num_frames = min(pool_frames, header.num_frames(tuple(splits)))
    bytes_per_frame = 2 * header.feature_dim + 4 + 6 * shard_set.code.max_kept
    # Parts are there twice while they are joined.
    needed = 2 * num_frames * bytes_per_frame
    free, _ = torch.cuda.mem_get_info(device)
    return device if needed <= _SHARE_OF_GPU * free else torch.device("cpu")
