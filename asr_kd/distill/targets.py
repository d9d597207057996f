"""Soft targets of a batch: kept senones with their probabilities, and what became of the tail."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

SOFT_IDS = "soft_ids"
SOFT_PROBS = "soft_probs"
SOFT_TAIL = "soft_tail"


@dataclass(frozen=True)
class SoftTargets:
    """The ensemble's posteriors of B frames, dense or sparse.

    An entry of probability 0 is padding: it is not in the kept set, whatever its id. The other ids of a row
    differ, and with a tail every row keeps at least one senone.

    Attributes:
        probs: ``[B, K]``, or ``[B, S]`` when dense; a row with its tail need not sum to 1.
        ids: pdf_ids of the kept senones ``[B, K]``; None when dense.
        tail: ``[B]``, mass of all senones that are not kept, which the loss compares with the student's own
            mass on them, as one class; None where rows stand for themselves (dense, sampled, renormalised).
    """

    probs: Tensor
    ids: Tensor | None = None
    tail: Tensor | None = None

    def __post_init__(self) -> None:
        assert self.probs.dim() == 2
        assert self.ids is None or self.ids.shape == self.probs.shape
        assert self.tail is None or (self.ids is not None and self.tail.shape == self.probs.shape[:1])

    def __len__(self) -> int:
        return len(self.probs)

    @property
    def is_dense(self) -> bool:
        """Whether a probability is given for every senone."""
        return self.ids is None

    def to(self, device: torch.device | str) -> SoftTargets:
        """Return the same targets on another device."""
        moved = (None if part is None else part.to(device) for part in (self.probs, self.ids, self.tail))
        probs, ids, tail = moved
        assert probs is not None
        return SoftTargets(probs, ids, tail)

    def rows(self, rows: slice | Tensor) -> SoftTargets:
        """Return some of the frames."""
        return SoftTargets(
            self.probs[rows],
            None if self.ids is None else self.ids[rows],
            None if self.tail is None else self.tail[rows],
        )

    def likeliest(self) -> Tensor:
        """Return each row's most probable senone ``[B]``; a tail, whose senones are not told, is none."""
        best = self.probs.argmax(1, keepdim=True)
        return (best if self.ids is None else self.ids.gather(1, best).long())[:, 0]

    def tensors(self) -> dict[str, Tensor]:
        """Return what a :class:`~asr_kd.data.windows.FramePool` stores as targets, by name."""
        parts = {SOFT_PROBS: self.probs, SOFT_IDS: self.ids, SOFT_TAIL: self.tail}
        return {name: part for name, part in parts.items() if part is not None}


def soft_targets(targets: Mapping[str, Tensor]) -> SoftTargets:
    """Return the soft targets among a batch's targets, the inverse of :meth:`SoftTargets.tensors`."""
    return SoftTargets(targets[SOFT_PROBS], targets.get(SOFT_IDS), targets.get(SOFT_TAIL))


def dense_posteriors(soft: SoftTargets, num_senones: int, tail_prior: Tensor | None = None) -> Tensor:
    """Return targets as dense rows, for measurements and tests; training never needs them.

    Args:
        soft: Targets of B frames.
        num_senones: S.
        tail_prior: ``[S]``, in whose proportion a tail's mass is spread over what is not kept; None: evenly.

    Returns:
        float32 ``[B, S]``.
    """
    if soft.ids is None:
        return soft.probs.float()
    probs = soft.probs.float()
    ids = torch.where(probs > 0, soft.ids.long(), num_senones)  # padding falls into a column that is cut off
    dense = probs.new_zeros(len(soft), num_senones + 1).scatter_(1, ids, probs)[:, :num_senones]
    if soft.tail is None:
        return dense
    prior = dense.new_ones(num_senones) if tail_prior is None else tail_prior.to(dense)
    spread = torch.where(dense > 0, 0.0, prior)  # [B, S]
    return dense + spread * (soft.tail.float() / spread.sum(1).clamp_min(1e-30))[:, None]
