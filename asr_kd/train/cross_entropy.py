"""Cross-entropy of hard labels in one pass over the logits."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

# Rows of so many values stay in a processor's cache from one operation to the next.
_CHUNK_ELEMENTS = 1 << 18


def hard_cross_entropy(logits: Tensor, pdf_ids: Tensor) -> Tensor:
    """Return the mean of ``-log softmax(logits)[pdf_id]``, in float32 whatever type the logits have.

    Args:
        logits: ``[B, S]``.
        pdf_ids: ``[B]``.
    """
    if logits.device.type != "cpu" or not logits.requires_grad:
        return nn.functional.cross_entropy(logits.float(), pdf_ids)
    apply: Any = _HardCrossEntropy.apply
    loss: Tensor = apply(logits, pdf_ids)
    return loss


class _HardCrossEntropy(torch.autograd.Function):
    """The gradient is made with the loss, chunk by chunk, so that the logits are read once."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, pdf_ids: Tensor) -> Tensor:
        gradient = torch.empty_like(logits)
        losses = torch.empty(len(logits))
        num_rows = max(1, _CHUNK_ELEMENTS // logits.shape[1])
        for first in range(0, len(logits), num_rows):
            rows = slice(first, first + num_rows)
            labels = pdf_ids[rows, None]
            log_probs = logits[rows].float().log_softmax(1)
            losses[rows] = -log_probs.gather(1, labels)[:, 0]
            probs = log_probs.exp_()
            probs.scatter_add_(1, labels, probs.new_full((1, 1), -1.0).expand(labels.shape))
            gradient[rows] = probs.div_(len(logits))
        ctx.save_for_backward(gradient)
        return losses.mean()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor, None]:
        (gradient,) = ctx.saved_tensors
        return (gradient if float(scale) == 1.0 else gradient * scale), None
