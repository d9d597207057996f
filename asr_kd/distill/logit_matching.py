"""Logit matching: the distillation loss in the limit of a high temperature."""

from __future__ import annotations

import torch
from torch import Tensor

from asr_kd.data.windows import NO_LABEL
from asr_kd.distill.dense_code import Dense
from asr_kd.distill.loss import LossTerms
from asr_kd.distill.stored import StoredPosteriors
from asr_kd.errors import AsrKdError, ShardError

TEACHER_LOGITS = "teacher_logits"
"""Name of the target in a batch: ``[B, S]``, every row of zero mean."""


def teacher_logits(log_q: Tensor, temperature: float) -> Tensor:
    """Return the logits of zero mean ``[B, S]`` that give the posteriors ``q_T = softmax(v / T)``.

    Args:
        log_q: Log posteriors ``[B, S]``.
        temperature: T that they were made with.
    """
    logits = temperature * log_q
    return logits - logits.mean(1, keepdim=True)


def require_logits(stored: StoredPosteriors, where: str = "") -> None:
    """Refuse stored posteriors that do not tell the teacher's logits.

    Args:
        stored: What there is.
        where: The shard set or the setting, for the message.

    Raises:
        ShardError: With the reason: a code that does not keep every senone, or an average of posteriors.
    """
    num_teachers = stored.num_averaged
    reason, hint = None, None
    if not isinstance(stored.code, Dense | None):
        reason = f"the code {stored.code.name} does not keep the log posterior of every senone"
        hint = "write the shards with code dense"
    elif stored.averaging != "geometric" and num_teachers > 1:
        reason = (
            f"the {stored.averaging} mean of {num_teachers} teachers' posteriors is not the softmax of their "
            "mean logits"
        )
        hint = "write the shards with averaging geometric, or with one teacher"
    if reason is not None:
        raise ShardError(f"logits cannot be had: {reason}", where=where or None, hint=hint)


def logit_matching_loss(
    logits: Tensor,
    teacher: Tensor,
    pdf_ids: Tensor,
    soft_weight: float | Tensor = 1.0,
    hard_weight: float | Tensor = 0.0,
) -> LossTerms:
    """Return ``soft_weight * sum_i (z_i - v_i)^2 / (2 S) + hard_weight * CE(y, p_1)``, means over frames.

    z and v are the student's and the teacher's logits, each frame's mean taken off, S is the number of
    senones. The soft term's gradient is ``(z_i - v_i) / S``: that of ``T^2 CE(q_T, p_T)`` as T grows, so the
    two weights mean what they mean in :func:`~asr_kd.distill.loss.distillation_loss`.

    Args:
        logits: The student's ``[B, S]``.
        teacher: The teacher's ``[B, S]``; a constant in a row does not matter.
        pdf_ids: Hard labels ``[B]``; ``NO_LABEL`` (-1) drops the hard term of a frame.
        soft_weight: Weight of the squared error, or of each frame's in it ``[B]``.
        hard_weight: Weight of the hard term, likewise.

    Source: Hinton, Vinyals & Dean 2015, section 2.1.
    """
    if logits.dim() != 2 or teacher.shape != logits.shape or pdf_ids.shape != logits.shape[:1]:
        raise AsrKdError(
            "logits of student and teacher and pdf_ids do not fit each other",
            expected="[B, S], [B, S] and [B]",
            got=f"{list(logits.shape)}, {list(teacher.shape)} and {list(pdf_ids.shape)}",
        )
    z, v = logits.float(), teacher.float()
    error = (z - z.mean(1, keepdim=True)) - (v - v.mean(1, keepdim=True))
    soft = error.square().mean(1) / 2  # [B]
    total = (soft_weight * soft).mean()
    hard = soft.new_zeros(())
    if isinstance(hard_weight, Tensor) or hard_weight:
        labels = pdf_ids.long()
        num_labels = (labels != NO_LABEL).sum().clamp_min(1)
        rows = torch.nn.functional.cross_entropy(z, labels, ignore_index=NO_LABEL, reduction="none")
        total = total + (hard_weight * rows).sum() / num_labels
        hard = rows.sum() / num_labels
    return LossTerms(total, soft.mean().detach(), hard.detach())
