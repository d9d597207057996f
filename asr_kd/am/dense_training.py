"""Forward and backward pass of rectified linear layers with dropout, at a CPU's speed of matrix products.

Taken one by one, dropout, rectification, casts and the weights' gradients cost a CPU more time than the
matrix products of a net of this size. Here activations are kept as ``[units, B]``, in which none of the three
products of a layer has to transpose them; rectification and dropout are one pass over integers; and dropout's
scaling is part of the next layer's product. The values are those of ``nn.Linear``, ``nn.ReLU`` and dropout
but for rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

_LEVELS = 1 << 16
_INTEGERS = {torch.bfloat16: torch.int16, torch.float32: torch.int32}


def dense_logits(windows: Tensor, layers: Sequence[nn.Linear], dropout: float) -> Tensor:
    """Return the logits ``[B, S]`` of a net in training, in autocast's type or float32.

    Args:
        windows: ``[B, W, D]``, on the CPU.
        layers: Hidden layers and the output layer.
        dropout: Probability with which a hidden unit is set to zero, rounded to a multiple of 2^-16.
    """
    is_half = torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.bfloat16
    parameters = [each for layer in layers for each in (layer.weight, layer.bias)]
    apply: Any = _DenseLogits.apply
    logits: Tensor = apply(windows, torch.bfloat16 if is_half else torch.float32, dropout, *parameters)
    return logits


class _DenseLogits(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, windows: Tensor, dtype: torch.dtype, dropout: float, *parameters: Tensor) -> Tensor:
        dropped = round(dropout * _LEVELS)
        random = _generator() if dropped else None
        weights = [weight.detach().to(dtype) for weight in parameters[::2]]
        biases = [bias.detach().to(dtype) for bias in parameters[1::2]]
        scales = [1.0] + [_LEVELS / (_LEVELS - dropped)] * (len(weights) - 1)
        units = [windows.flatten(1).to(dtype).T]  # each [units, B]
        for weight, bias, scale in zip(weights[:-1], biases, scales, strict=False):
            hidden = torch.addmm(bias[:, None], weight, units[-1], alpha=scale)
            units.append(_rectified(hidden, dropped, random))
        logits = torch.addmm(biases[-1], units[-1].T.contiguous(), weights[-1].T, alpha=scales[-1])
        ctx.save_for_backward(*units, *weights)
        ctx.scales = scales
        return logits

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        scales = ctx.scales
        units, weights = ctx.saved_tensors[: len(scales)], ctx.saved_tensors[len(scales) :]
        of_output = _product(units[-1], gradient, scales[-1])  # [units, S]
        gradients = [of_output.T.contiguous().float(), gradient.sum(0).float()]
        upward = _product(gradient, weights[-1], scales[-1]).T.contiguous()  # [units, B]
        for layer in reversed(range(len(scales) - 1)):
            upward = torch.ops.aten.threshold_backward(upward, units[layer + 1], 0)
            of_weight = _product(upward, units[layer].T, scales[layer]).float()
            gradients[:0] = [of_weight, upward.sum(1).float()]
            if layer:
                upward = _product(weights[layer].T.contiguous(), upward, scales[layer])
        return None, None, None, *gradients


def _product(a: Tensor, b: Tensor, scale: float) -> Tensor:
    return torch.addmm(a.new_zeros(1), a, b, beta=0, alpha=scale)


def _rectified(values: Tensor, dropped: int, random: np.random.SFC64 | None) -> Tensor:
    """Set negative values to zero, and some others, in place.

    Floats of one sign are ordered as the integers of their bits are: clamping the bits from 0 to the largest
    integer is a rectifier, and clamping them from 0 to 0 drops the value.
    """
    bits = values.view(_INTEGERS[values.dtype])
    if random is None:
        bits.clamp_min_(0)
        return values
    draws = torch.from_numpy(random.random_raw(-(-bits.numel() // 4)).view(np.int16))
    draws = draws[: bits.numel()].view(bits.shape)
    edge = dropped - _LEVELS // 2 - 1  # what is drawn up to here is dropped
    draws.clamp_(edge, edge + 1)
    largest = torch.iinfo(bits.dtype).max
    limits = (draws.to(bits.dtype) if bits.dtype != draws.dtype else draws).sub_(edge).mul_(largest)
    torch.clamp(bits, bits.new_zeros(()), limits, out=bits)
    return values


def _generator() -> np.random.SFC64:
    """Return a generator that takes half the time of torch's, seeded from it."""
    return np.random.SFC64(int(torch.randint(2**62, ())))
