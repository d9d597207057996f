"""Cross entropy of soft targets and its gradient for some rows, dense or sparse."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from asr_kd.distill.targets import SoftTargets

# e^x of what is further below the largest logit is 0 beside 1, and costs a CPU many times as much.
_LOWEST = -80.0


class RowTerms(NamedTuple):
    """Of C rows of scaled logits.

    Attributes:
        loss: ``-sum_k q_k log p_k - q_tail log p_tail`` ``[C]``.
        log_sum: logsumexp over all senones ``[C]``.
        tail_log_sum: logsumexp over those that are not kept ``[C]``, -inf where all are; None without a tail.
        entries: The kept ones without padding; None without a tail.
    """

    loss: Tensor
    log_sum: Tensor
    tail_log_sum: Tensor | None = None
    entries: _Entries | None = None


class _Entries(NamedTuple):
    """Kept senones of C rows: in the place of padding a row's most probable entry is repeated.

    Attributes:
        ids: int64 ``[C, K]``.
        probs: ``[C, K]``, equal where the ids are.
    """

    ids: Tensor
    probs: Tensor


def soft_cross_entropy_rows(scaled: Tensor, soft: SoftTargets) -> RowTerms:
    """Return the cross entropy of each row and its normalisers.

    Args:
        scaled: Logits over temperature, float32 ``[C, S]``.
        soft: Targets q of the same rows.
    """
    log_sum = scaled.logsumexp(1)  # [C]
    if soft.ids is None:
        loss = -torch.linalg.vecdot(soft.probs.float(), scaled - log_sum[:, None])
        return RowTerms(loss, log_sum)
    probs, ids = soft.probs.float(), soft.ids.long()  # [C, K]
    picked = scaled.gather(1, ids)
    loss = -(probs * (picked - log_sum[:, None])).sum(1)
    if soft.tail is None:
        return RowTerms(loss, log_sum)
    entries = _without_padding(ids, probs)
    tail_log_sum = _tail_log_sum(scaled, entries.ids)
    log_tail = tail_log_sum - log_sum
    # A row that keeps every senone has no tail: its stored mass is rounding, and its log is -inf.
    loss = loss - torch.where(log_tail.isinf(), 0.0, soft.tail.float() * log_tail)
    return RowTerms(loss, log_sum, tail_log_sum, entries)


def soft_cross_entropy_gradient(scaled: Tensor, soft: SoftTargets, terms: RowTerms) -> Tensor:
    """Return the gradient of :func:`soft_cross_entropy_rows` in ``scaled``.

    With ``Q = sum_k q_k + q_tail`` it is ``Q p_j - q_j`` for kept senones and
    ``(Q p_tail - q_tail) p_j / p_tail`` for those of the tail.

    Args:
        scaled: Logits over temperature, float32 ``[C, S]``.
        soft: Targets of the same rows.
        terms: Of these rows.

    Returns:
        ``[C, S]``.
    """
    log_sum = terms.log_sum
    probs = soft.probs.float()
    mass = probs.sum(1)
    if soft.ids is None:
        return (scaled - log_sum[:, None]).exp_().mul_(mass[:, None]).sub_(probs)
    if soft.tail is None or terms.tail_log_sum is None or terms.entries is None:
        gradient = (scaled - log_sum[:, None]).exp_().mul_(mass[:, None])
        return gradient.scatter_add_(1, soft.ids.long(), -probs)
    has_tail = ~terms.tail_log_sum.isinf()
    tail = soft.tail.float()
    mass = mass + tail
    tail = torch.where(has_tail, tail, 0.0)
    ids, probs = terms.entries
    kept = (scaled.gather(1, ids) - log_sum[:, None]).exp_().mul_(mass[:, None]).sub_(probs)  # [C, K]
    tail_log_sum = torch.where(has_tail, terms.tail_log_sum, log_sum)
    coefficient = mass * (tail_log_sum - log_sum).exp() - tail
    # Kept senones may overflow here; they are overwritten below.
    gradient = (scaled - tail_log_sum[:, None]).exp_().mul_(coefficient[:, None])
    return gradient.scatter_(1, ids, kept)


def _without_padding(ids: Tensor, probs: Tensor) -> _Entries:
    padding = probs <= 0
    if padding.device.type == "cpu" and not bool(padding.any()):  # a GPU is not waited for
        return _Entries(ids, probs)
    # A row's most probable entry: doubled ids then carry equal values, in whatever order they are written.
    best = probs.argmax(1, keepdim=True)
    return _Entries(
        torch.where(padding, ids.gather(1, best), ids), torch.where(padding, probs.gather(1, best), probs)
    )


def _tail_log_sum(scaled: Tensor, kept_ids: Tensor) -> Tensor:
    """Return logsumexp over the senones that are not kept ``[C]``; ``1 - sum p`` would cancel."""
    tail = scaled.scatter(1, kept_ids, -math.inf)  # [C, S]
    largest = tail.amax(1, keepdim=True)
    is_empty = largest.isinf()
    largest = torch.where(is_empty, 0.0, largest)
    log_sum = tail.sub_(largest).clamp_min_(_LOWEST).exp_().sum(1).log_().add_(largest[:, 0])
    return torch.where(is_empty[:, 0], -math.inf, log_sum)
