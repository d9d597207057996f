"""Muon for processors of every kind: orthogonal steps whose matrix products are in their native type."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from asr_kd.am.device import has_native_bf16

# Newton-Schulz iterations in a step; five are usual. Nets of three are as good, and these products of weights
# cost more than the net's own in batches of a thousand frames (recipes/speechocean762/RESULTS.md).
_ITERATIONS = 3


class Muon(torch.optim.Muon):
    """torch's Muon, which multiplies in bfloat16 alone, in float32 where bfloat16 would be emulated.

    Steps are scaled to the size of AdamW's, so that one rate serves both.

    Args:
        weights: Matrices ``[out, in]``.
        lr: Learning rate.
        weight_decay: Decoupled decay.

    Source: Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks", in the scale of Liu
    et al. 2025, "Muon is scalable for LLM training".
    """

    def __init__(self, weights: Iterable[Tensor], *, lr: float, weight_decay: float) -> None:
        super().__init__(
            weights, lr=lr, weight_decay=weight_decay, ns_steps=_ITERATIONS, adjust_lr_fn="match_rms_adamw"
        )

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # no loss is computed again
        """Update the matrices from their gradients."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._step(weight, group)

    def _step(self, weight: Tensor, group: dict[str, Any]) -> None:
        gradient, state = weight.grad, self.state[weight]
        assert gradient is not None
        if not state:
            state["momentum_buffer"] = torch.zeros_like(weight)
        moving = state["momentum_buffer"].lerp_(gradient, 1 - group["momentum"])
        direction = gradient.lerp(moving, group["momentum"])  # Nesterov's
        turned = orthogonalised(direction, group["ns_coefficients"], group["ns_steps"], group["eps"])
        rate = group["lr"]
        weight.mul_(1 - rate * group["weight_decay"])
        weight.add_(turned, alpha=-rate * 0.2 * math.sqrt(max(weight.shape)))


def orthogonalised(
    matrix: Tensor, coefficients: tuple[float, float, float], iterations: int, least_norm: float
) -> Tensor:
    """Bring the singular values of a matrix near 1 by Newton-Schulz iterations, and leave its directions.

    Args:
        matrix: ``[out, in]``, float32.
        coefficients: Of the odd polynomial of degree 5 that each iteration takes singular values through.
        iterations: How many.
        least_norm: A matrix of less is taken to have it.

    Returns:
        ``[out, in]``, bfloat16 where the device multiplies it natively, else float32.
    """
    linear, cubic, quintic = coefficients
    turned = matrix.bfloat16() if has_native_bf16(matrix.device) else matrix
    is_tall = matrix.shape[0] > matrix.shape[1]
    if is_tall:  # the products of the shorter side cost less
        turned = turned.T
    turned = turned / turned.norm().clamp(min=least_norm)
    for _ in range(iterations):
        gram = turned @ turned.T
        turned = torch.addmm(
            turned, torch.addmm(gram, gram, gram, beta=cubic, alpha=quintic), turned, beta=linear
        )
    return turned.T if is_tall else turned
