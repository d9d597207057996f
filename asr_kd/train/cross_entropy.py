"""Cross-entropy of hard labels in one pass over the logits."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from asr_kd.am.fused_cross_entropy import replace_by_gradient, scale_in_place
from asr_kd.am.row_chunks import row_chunks
from asr_kd.am.triton_kernels import runs_triton


def hard_cross_entropy(logits: Tensor, pdf_ids: Tensor) -> Tensor:
    """Return the mean of ``-log softmax(logits)[pdf_id]``, in float32 whatever type the logits have.

    Args:
        logits: ``[B, S]``.
        pdf_ids: ``[B]``.
    """
    if not logits.requires_grad:
        return nn.functional.cross_entropy(logits.float(), pdf_ids)
    apply: Any = _HardCrossEntropy.apply
    loss: Tensor = apply(logits, pdf_ids)
    return loss


class _HardCrossEntropy(torch.autograd.Function):
    """The gradient is made with the loss, so that the logits are read once."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, pdf_ids: Tensor) -> Tensor:
        fused = runs_triton(logits.device)
        losses, gradient = (_in_one_kernel if fused else _by_chunks)(logits, pdf_ids)
        ctx.gradient, ctx.used = gradient, False
        return losses.mean()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor, None]:
        assert not ctx.used, "backward a second time through a loss whose gradient was given away"
        gradient, ctx.gradient, ctx.used = ctx.gradient, None, True
        # A GPU is not waited for to learn whether this can be left out.
        if runs_triton(scale.device):
            scale_in_place(gradient, scale)
        elif scale.device.type != "cpu" or float(scale) != 1.0:
            gradient = gradient * scale
        return gradient, None


def _in_one_kernel(logits: Tensor, pdf_ids: Tensor) -> tuple[Tensor, Tensor]:
    """Return the losses ``[B]`` and the gradient of their mean ``[B, S]``."""
    gradient = logits.detach().clone()
    scale = torch.full((), 1 / len(logits), device=logits.device)
    return replace_by_gradient(gradient, pdf_ids, None, 1.0, scale, scale).hard, gradient


def _by_chunks(logits: Tensor, pdf_ids: Tensor) -> tuple[Tensor, Tensor]:
    """Return what :func:`_in_one_kernel` does."""
    gradient = torch.empty_like(logits)
    losses = torch.empty(len(logits), device=logits.device)
    for rows in row_chunks(logits):
        labels = pdf_ids[rows, None]
        log_probs = logits[rows].float().log_softmax(1)
        losses[rows] = -log_probs.gather(1, labels)[:, 0]
        probs = log_probs.exp_()
        probs.scatter_add_(1, labels, probs.new_full((1, 1), -1.0).expand(labels.shape))
        gradient[rows] = probs.div_(len(logits))
    return losses, gradient
