"""Cross entropy of soft targets and its gradient for some rows, dense or sparse."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from asr_kd.distill.targets import SoftTargets


def soft_cross_entropy_rows(scaled: Tensor, soft: SoftTargets) -> tuple[Tensor, Tensor]:
    """Return the cross entropy of each row and its normaliser.

    Args:
        scaled: Logits over temperature, float32 ``[C, S]``.
        soft: Targets q of the same rows.

    Returns:
        ``-sum_k q_k log p_k - q_tail log p_tail`` and ``logsumexp(scaled)``, both ``[C]``.
    """
    log_sum = scaled.logsumexp(1)  # [C]
    if soft.ids is None:
        return -torch.linalg.vecdot(soft.probs.float(), scaled - log_sum[:, None]), log_sum
    probs = soft.probs.float()  # [C, K]
    picked = scaled.gather(1, soft.ids.long())
    loss = -(probs * (picked - log_sum[:, None])).sum(1)
    if soft.tail is not None:
        log_tail = _tail_log_sum(scaled, soft) - log_sum
        # A row that keeps every senone has no tail: its stored mass is rounding, and its log is -inf.
        loss = loss - torch.where(log_tail.isinf(), 0.0, soft.tail.float() * log_tail)
    return loss, log_sum


def soft_cross_entropy_gradient(scaled: Tensor, soft: SoftTargets, log_sum: Tensor) -> Tensor:
    """Return the gradient of :func:`soft_cross_entropy_rows` in ``scaled``; ``scaled`` is used up.

    With ``Q = sum_k q_k + q_tail`` it is ``Q p_j - q_j`` for kept senones and
    ``(Q p_tail - q_tail) p_j / p_tail`` for those of the tail.

    Args:
        scaled: Logits over temperature, float32 ``[C, S]``.
        soft: Targets of the same rows.
        log_sum: ``logsumexp(scaled)`` ``[C]``.

    Returns:
        ``[C, S]``.
    """
    probs = soft.probs.float()
    mass = probs.sum(1)
    if soft.ids is None:
        return (scaled - log_sum[:, None]).exp_().mul_(mass[:, None]).sub_(probs)
    ids = soft.ids.long()
    if soft.tail is None:
        gradient = (scaled - log_sum[:, None]).exp_().mul_(mass[:, None])
        return gradient.scatter_add_(1, ids, -probs)
    tail = soft.tail.float()
    mass = mass + tail
    tail_log_sum = _tail_log_sum(scaled, soft)
    has_tail = ~tail_log_sum.isinf()
    tail = torch.where(has_tail, tail, 0.0)
    kept = (scaled.gather(1, ids) - log_sum[:, None]).exp() * mass[:, None] - probs  # [C, K]
    tail_log_sum = torch.where(has_tail, tail_log_sum, log_sum)
    coefficient = mass * (tail_log_sum - log_sum).exp() - tail
    # Kept senones may overflow here; they are overwritten below.
    gradient = (scaled - tail_log_sum[:, None]).exp_().mul_(coefficient[:, None])
    return _put_kept(gradient, ids, probs, kept)


def _tail_log_sum(scaled: Tensor, soft: SoftTargets) -> Tensor:
    """Return logsumexp over the senones that are not kept ``[C]``; ``1 - sum p`` would cancel."""
    assert soft.ids is not None
    minus_inf = scaled.new_full((1, 1), -math.inf)
    return _put_kept(scaled.clone(), soft.ids.long(), soft.probs, minus_inf).logsumexp(1)


def _put_kept(values: Tensor, ids: Tensor, probs: Tensor, kept: Tensor) -> Tensor:
    """Overwrite the kept entries of ``values`` [C, S] by ``kept`` [C, K], padding left alone."""
    padding = probs <= 0
    kept = kept.expand(ids.shape)
    if bool(padding.any()):
        # Padding repeats the row's most probable entry, so that doubled ids carry equal values.
        best = probs.argmax(1, keepdim=True)
        ids = torch.where(padding, ids.gather(1, best), ids)
        kept = torch.where(padding, kept.gather(1, best), kept)
    return values.scatter_(1, ids, kept)
