"""How far decoded targets are from the dense posteriors that they stand for."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from asr_kd.distill.targets import SoftTargets, dense_posteriors

LEAST_PROBABILITY = 1e-8
"""What a senone that a code silences counts as in the divergence, which would be infinite otherwise."""

_ELEMENTS_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class RowQuality:
    """Differences of each frame, ``[T]`` each.

    Attributes:
        divergence: KL(dense || decoded) in nats.
        total_variation: Half the sum of absolute differences.
        agrees: Whether the most probable senone is the same.
        mass_kept: Dense mass of the senones that the code kept.
    """

    divergence: Tensor
    total_variation: Tensor
    agrees: Tensor
    mass_kept: Tensor


def compare_rows(log_q: Tensor, soft: SoftTargets, tail_prior: Tensor | None = None) -> RowQuality:
    """Return how decoded targets differ from the dense rows.

    Decoded rows are made dense (a tail is spread in proportion to the prior), cut off below
    ``LEAST_PROBABILITY`` and normalised.

    Args:
        log_q: Log posteriors that were encoded ``[T, S]``.
        soft: What came back.
        tail_prior: ``[S]``; None spreads tails evenly.
    """
    num_rows = max(1, _ELEMENTS_AT_ONCE // log_q.shape[1])
    parts = []
    for first in range(0, len(log_q), num_rows):
        rows = slice(first, first + num_rows)
        parts.append(_compare(log_q[rows].float(), soft.rows(rows).to(log_q.device), tail_prior))
    columns = zip(*parts, strict=True)
    divergence, total_variation, agrees, mass_kept = (torch.cat(column) for column in columns)
    return RowQuality(divergence, total_variation, agrees, mass_kept)


def _compare(
    log_q: Tensor, soft: SoftTargets, tail_prior: Tensor | None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    q = log_q.exp()
    kept = SoftTargets(soft.probs, soft.ids)
    kept_dense = dense_posteriors(kept, log_q.shape[1])
    decoded = dense_posteriors(soft, log_q.shape[1], tail_prior).clamp_min(LEAST_PROBABILITY)
    decoded /= decoded.sum(1, keepdim=True)
    return (
        torch.linalg.vecdot(q, log_q - decoded.log()),
        (q - decoded).abs().sum(1) / 2,
        kept_dense.argmax(1) == q.argmax(1),
        (q * (kept_dense > 0)).sum(1),
    )
