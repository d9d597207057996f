"""The distillation loss, dense or sparse, without a dense copy of the targets or of the posteriors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from asr_kd.am.fused_cross_entropy import (
    RowLosses,
    SparseTargets,
    replace_by_gradient,
    scale_in_place,
)
from asr_kd.am.row_chunks import row_chunks
from asr_kd.am.triton_kernels import runs_triton
from asr_kd.data.windows import NO_LABEL
from asr_kd.distill.soft_cross_entropy import soft_cross_entropy_gradient, soft_cross_entropy_rows
from asr_kd.distill.targets import SoftTargets
from asr_kd.errors import AsrKdError


@dataclass(frozen=True)
class LossTerms:
    """The loss of a batch and its parts.

    Attributes:
        total: ``soft_weight * T^2 * soft + hard_weight * hard``; the one to differentiate.
        soft: ``CE(q_T, p_T)``, mean over frames, before weight and T^2.
        hard: ``CE(y, p_1)``, mean over the frames with a label; 0 where there are none or the weight is 0.
    """

    total: Tensor
    soft: Tensor
    hard: Tensor


def distillation_loss(
    logits: Tensor,
    soft: SoftTargets,
    pdf_ids: Tensor,
    temperature: float,
    soft_weight: float | Tensor = 1.0,
    hard_weight: float | Tensor = 0.0,
    overwrite_logits: bool = False,
) -> LossTerms:
    """Return ``soft_weight * T^2 * CE(q_T, p_T) + hard_weight * CE(y, p_1)``.

    With ``p_T = softmax(logits / T)``: the soft term is the mean over frames of ``-sum_k q_k log p_T,k``,
    plus ``-q_tail log(1 - sum_k p_T,k)`` where the targets have a tail; the hard term is the mean over
    labelled frames of ``-log p_1,y``. T^2 keeps the soft gradient's size as T changes and is applied always.

    Args:
        logits: The student's, one row a real frame ``[B, S]`` (cut padding off first).
        soft: Targets made with the same temperature.
        pdf_ids: Hard labels ``[B]``; ``NO_LABEL`` (-1) drops the hard term of a frame.
        temperature: T of teacher and student.
        soft_weight: Weight of the soft term, or one a frame ``[B]`` before the mean; a tensor is not read, so
            that a GPU is not waited for.
        hard_weight: Weight of the hard term, relative to a soft term of weight 1 (Hinton's 0.5); likewise.
        overwrite_logits: Put the gradient where the logits were: a step then needs 1 and not 2 times their
            memory, and the logits must not be read afterwards.

    Source: Hinton, Vinyals & Dean 2015, section 2.
    """
    _check(logits, soft, pdf_ids, temperature)
    labels = pdf_ids.long()
    if not isinstance(hard_weight, Tensor) and hard_weight == 0:
        labels = torch.full_like(labels, NO_LABEL)
    apply: Any = _DistillationLoss.apply
    weights = (soft_weight * temperature**2, hard_weight)
    return LossTerms(*apply(logits, soft, labels, float(temperature), weights, overwrite_logits))


def _check(logits: Tensor, soft: SoftTargets, pdf_ids: Tensor, temperature: float) -> None:
    if logits.dim() != 2:
        raise AsrKdError(
            "the loss takes one row of logits a frame", expected="[B, S]", got=list(logits.shape)
        )
    num_frames, num_senones = logits.shape
    if len(soft) != num_frames or pdf_ids.shape != (num_frames,):
        raise AsrKdError(
            "logits, soft targets and pdf_ids differ in their number of frames",
            expected=num_frames,
            got=f"{len(soft)} soft targets, pdf_ids of shape {list(pdf_ids.shape)}",
        )
    if soft.is_dense and soft.probs.shape[1] != num_senones:
        raise AsrKdError(
            "dense targets for another senone inventory", expected=num_senones, got=soft.probs.shape[1]
        )
    if not temperature > 0:
        raise AsrKdError("a temperature must be above 0", got=temperature)


class _DistillationLoss(torch.autograd.Function):
    """Total, soft and hard term: nothing of the logits' size is made but the gradient.

    That one is made with the loss, so that the logits are read and normalised once.
    """

    @staticmethod
    def forward(
        ctx: Any,
        logits: Tensor,
        soft: SoftTargets,
        labels: Tensor,
        temperature: float,
        weights: tuple[float | Tensor, float | Tensor],
        overwrite: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        num_labels = (labels != NO_LABEL).sum().clamp_min(1)
        soft_weight, hard_weight = weights
        scales = _Scales(soft_weight / (temperature * len(logits)), hard_weight / num_labels)
        needs_gradient = ctx.needs_input_grad[0]
        if needs_gradient and soft.ids is not None and runs_triton(logits.device):
            gradient = logits.data if overwrite else logits.detach().clone()
            rows = _fused_rows(gradient, soft, labels, temperature, scales)
        else:
            gradient = None
            if needs_gradient:
                # Not detach(), whose writes would count as a change of what the net returned.
                gradient = logits.data if overwrite else torch.empty_like(logits)
            rows = _chunked_rows(logits, soft, labels, temperature, scales, gradient)
        ctx.gradient, ctx.used = gradient, False
        soft_term, hard_term = rows.soft.mean(), rows.hard.sum() / num_labels
        ctx.mark_non_differentiable(soft_term, hard_term)
        total = (soft_weight * rows.soft).mean() + (hard_weight * rows.hard).sum() / num_labels
        return total, soft_term, hard_term

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, scale: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        assert not ctx.used, "backward a second time through a loss whose gradient was given away"
        gradient, ctx.gradient, ctx.used = ctx.gradient, None, True
        # A GPU is not waited for to learn whether this can be left out.
        if runs_triton(scale.device) and gradient.is_contiguous():
            scale_in_place(gradient, scale)
        elif scale.device.type != "cpu" or float(scale) != 1.0:
            gradient.mul_(scale)
        return gradient, None, None, None, None, None


class _Scales(NamedTuple):
    """What the rows' gradients are multiplied with, all or each ``[B]``; tensors are not read."""

    soft: float | Tensor
    hard: Tensor

    def rows(self, rows: slice) -> _Scales:
        """Return those of some rows, as columns where each has its own."""
        soft, hard = (
            scale[rows, None] if isinstance(scale, Tensor) and scale.dim() else scale for scale in self
        )
        assert isinstance(hard, Tensor)
        return _Scales(soft, hard)


def _fused_rows(
    logits: Tensor, soft: SoftTargets, labels: Tensor, temperature: float, scales: _Scales
) -> RowLosses:
    """Return the losses of the rows; their gradient is written over the logits."""
    assert soft.ids is not None
    soft_scale = scales.soft
    if not isinstance(soft_scale, Tensor):
        soft_scale = torch.full((), soft_scale, device=logits.device)
    targets = SparseTargets(soft.probs, soft.ids, soft.tail)
    return replace_by_gradient(logits, labels, targets, temperature, soft_scale, scales.hard)


def _chunked_rows(
    logits: Tensor,
    soft: SoftTargets,
    labels: Tensor,
    temperature: float,
    scales: _Scales,
    gradient: Tensor | None,
) -> RowLosses:
    """Return the losses of the rows, and fill the gradient, chunk by chunk."""
    # Made before the chunks: small tensors that outlive a chunk would leave holes in the heap behind it.
    losses = RowLosses(*torch.zeros(2, len(logits), device=logits.device).unbind())
    for rows in row_chunks(logits):
        chunk, targets = logits[rows].float(), soft.rows(rows)
        scaled = chunk / temperature
        terms = soft_cross_entropy_rows(scaled, targets)
        losses.soft[rows] = terms.loss
        known = terms.log_sum if temperature == 1 else None
        losses.hard[rows], label_log_sum = _hard_rows(chunk, labels[rows], known)
        if gradient is not None:
            own = scales.rows(rows)
            part = soft_cross_entropy_gradient(scaled, targets, terms).mul_(own.soft)
            _add_hard_gradient(part, chunk, labels[rows], label_log_sum, own.hard)
            gradient[rows] = part
    return losses


def _hard_rows(logits: Tensor, labels: Tensor, log_sum: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return ``-log p_1,y``, 0 without a label, and ``logsumexp(logits)``, both ``[C]``."""
    labelled = labels != NO_LABEL
    if _is_none(labelled):
        zeros = logits.new_zeros(len(logits))
        return zeros, zeros
    if log_sum is None:
        log_sum = logits.logsumexp(1)
    picked = logits.gather(1, labels.clamp_min(0)[:, None])[:, 0]
    return torch.where(labelled, log_sum - picked, 0.0), log_sum


def _add_hard_gradient(
    gradient: Tensor, logits: Tensor, labels: Tensor, log_sum: Tensor, scale: Tensor
) -> None:
    """Add ``scale * (p_1 - onehot(y))`` to the rows that have a label."""
    labelled = labels != NO_LABEL
    if _is_none(labelled):
        return
    row_scale = torch.where(labelled[:, None], scale, 0.0)  # [C, 1]
    gradient.addcmul_((logits - log_sum[:, None]).exp_(), row_scale)
    gradient.scatter_add_(1, labels.clamp_min(0)[:, None], -row_scale)


def _is_none(labelled: Tensor) -> bool:
    """Return whether no row is known to have a label; a GPU is not waited for to learn it."""
    return labelled.device.type == "cpu" and not bool(labelled.any())
