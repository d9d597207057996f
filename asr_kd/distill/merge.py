"""The mean of several teachers' stored posteriors, from their codes alone.

Dense rows are averaged as they are. Sparse rows are brought to the union of their ids first. A sampled row is
0 where it keeps nothing, and a mean of unbiased rows is unbiased. A code with a tail says of a senone s that
teacher n did not keep only that ``q_n(s)`` is at most its least kept probability ``m_n`` and its tail
``t_n``: it is put to ``min(m_n, t_n pi(s) / pi(all that n did not keep))`` with the prior pi. So the mean of
teachers with weights w is off by at most ``sum w_n min(m_n, t_n)`` over the teachers that did not keep s,
beside the codes' own error. Ids that all teachers kept have no such error, and a row with its tail sums to 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from asr_kd.distill.targets import SoftTargets

_ROWS_AT_ONCE = 512


@dataclass(frozen=True)
class AlignedTeachers:
    """Posteriors of N teachers over the same senones of each frame.

    Attributes:
        probs: float32 ``[T, N, U]``; 0 in padding.
        ids: pdf_ids ``[T, U]``, those of a row rising; None when dense. Padding is 0 at a row's end.
        is_real: bool ``[T, U]``, False for padding; None when dense.
    """

    probs: Tensor
    ids: Tensor | None
    is_real: Tensor | None


def align_teachers(parts: Sequence[SoftTargets], num_senones: int, prior: Tensor | None) -> AlignedTeachers:
    """Return teachers' targets over the union of their ids.

    Args:
        parts: One a teacher, of the same T frames and in the same code.
        num_senones: S.
        prior: ``[S]``, sums to 1; for codes with a tail.
    """
    if parts[0].ids is None:
        return AlignedTeachers(torch.stack([part.probs.float() for part in parts], 1), None, None)
    probs = torch.stack([part.probs.float() for part in parts], 1)  # [T, N, K]
    kept_ids = torch.stack([_ids(part).long() for part in parts], 1)
    num_frames, num_teachers, _ = probs.shape
    flat_ids = torch.where(probs > 0, kept_ids, num_senones).reshape(num_frames, -1)  # [T, N K]
    sorted_ids, order = flat_ids.sort(dim=1)
    is_new = torch.ones_like(sorted_ids, dtype=torch.bool)
    is_new[:, 1:] = sorted_ids[:, 1:] != sorted_ids[:, :-1]
    place = is_new.long().cumsum(1) - 1  # [T, N K], where each entry's id stands in the union
    # Padding has an id of its own, the last one, which is cut off again.
    size = int(place.max()) + 1
    ids = torch.full((num_frames, size), num_senones, device=probs.device).scatter_(1, place, sorted_ids)
    teacher = order // probs.shape[2]
    aligned = probs.new_zeros(num_frames, num_teachers * size)
    aligned.scatter_(1, teacher * size + place, probs.reshape(num_frames, -1).gather(1, order))
    aligned = aligned.reshape(num_frames, num_teachers, size)
    is_real = ids < num_senones
    ids = torch.where(is_real, ids, 0)
    aligned *= is_real[:, None, :]
    if parts[0].tail is not None:
        assert prior is not None
        tails = torch.stack([_tail(part) for part in parts], 1)  # [T, N]
        kept_prior = (prior.to(probs)[kept_ids] * (probs > 0)).sum(2)
        least = probs.masked_fill(probs <= 0, torch.inf).amin(2)
        scale = tails / (1 - kept_prior).clamp_min(1e-6)
        unseen = (scale[:, :, None] * prior.to(probs)[ids][:, None, :]).minimum(
            least.minimum(tails)[:, :, None]
        )
        aligned = torch.where((aligned > 0) | ~is_real[:, None, :], aligned, unseen)
    return AlignedTeachers(aligned, ids, is_real)


def merge_teachers(
    parts: Sequence[SoftTargets],
    weights: Sequence[float],
    num_senones: int,
    max_kept: int,
    prior: Tensor | None = None,
    geometric: bool = False,
) -> SoftTargets:
    """Return the teachers' mean, float16.

    With a tail the ``max_kept`` most probable senones of the union are kept and the others join the tail,
    which is exact; without one, in the sampled code, ``max_kept`` has room for the whole union.

    Args:
        parts: One a teacher, of the same T frames and in the same code.
        weights: One a teacher; they sum to 1.
        num_senones: S.
        max_kept: K, columns of the result.
        prior: ``[S]``, for codes with a tail.
        geometric: Normalised geometric mean, of dense rows alone.
    """
    if len(parts) == 1 and parts[0].is_dense:
        return parts[0]
    merged = []
    for first in range(0, len(parts[0]), _ROWS_AT_ONCE):
        rows = slice(first, first + _ROWS_AT_ONCE)
        aligned = align_teachers([part.rows(rows) for part in parts], num_senones, prior)
        has_tail = parts[0].tail is not None
        merged.append(_mean(aligned, weights, max_kept, has_tail, geometric))
    probs = torch.cat([part.probs for part in merged])
    if parts[0].ids is None:
        return SoftTargets(probs)
    tail = torch.cat([_tail(part) for part in merged]).half() if parts[0].tail is not None else None
    return SoftTargets(probs, torch.cat([_ids(part) for part in merged]).to(parts[0].ids.dtype), tail)


def mean_of_aligned(probs: Tensor, weights: Tensor, geometric: bool = False) -> Tensor:
    """Return the means of aligned teachers for several sets of weights, without normalisation.

    Args:
        probs: ``[T, N, U]``.
        weights: ``[C, N]``, rows sum to 1.
        geometric: Logarithms of geometric means in place of arithmetic ones.

    Returns:
        ``[T, C, U]``.
    """
    # float16 rounds to 0 below half of 2^-24.
    values = probs.clamp_min(2.0**-25).log() if geometric else probs
    return torch.einsum("cn,tnu->tcu", weights.to(probs), values)


def _mean(
    aligned: AlignedTeachers, weights: Sequence[float], max_kept: int, has_tail: bool, geometric: bool
) -> SoftTargets:
    mean = mean_of_aligned(aligned.probs, torch.tensor([list(weights)]), geometric)[:, 0]  # [T, U]
    if aligned.ids is None:
        return SoftTargets((mean.softmax(1) if geometric else mean).half())
    assert not geometric
    ids = aligned.ids
    if mean.shape[1] > max_kept:
        assert has_tail or int(aligned.is_real.sum(1).max()) <= max_kept  # type: ignore[union-attr]  # sparse
        columns = mean.topk(max_kept, dim=1).indices.sort(dim=1).values
        mean, ids = mean.gather(1, columns), ids.gather(1, columns)
    probs = mean.new_zeros(len(mean), max_kept)
    probs[:, : mean.shape[1]] = mean
    padded_ids = ids.new_zeros(probs.shape)
    padded_ids[:, : ids.shape[1]] = ids
    return SoftTargets(probs.half(), padded_ids, (1 - mean.sum(1)).clamp_min(0) if has_tail else None)


def _ids(part: SoftTargets) -> Tensor:
    assert part.ids is not None
    return part.ids


def _tail(part: SoftTargets) -> Tensor:
    assert part.tail is not None
    return part.tail.float()
