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
    (logits,) = joint_dense_logits(windows[None], [layers], dropout, [draw_seed()] if dropout else [0])
    return logits


def joint_dense_logits(
    windows: Tensor, nets: Sequence[Sequence[nn.Linear]], dropout: float, seeds: Sequence[int]
) -> tuple[Tensor, ...]:
    """Return the logits ``[B, S]`` of each of N nets of one shape, whose products are done together.

    Args:
        windows: ``[N, B, W, D]``, on the CPU: each net has its own.
        nets: Hidden layers and the output layer of each.
        dropout: As in :func:`dense_logits`.
        seeds: Of each net's dropout in this step, from :func:`draw_seed`.
    """
    is_half = torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.bfloat16
    parameters: list[Tensor] = []
    for layers in zip(*nets, strict=True):
        parameters += [layer.weight for layer in layers]
        parameters += [layer.bias for layer in layers]
    apply: Any = _DenseLogits.apply
    logits: tuple[Tensor, ...] = apply(
        windows, torch.bfloat16 if is_half else torch.float32, dropout, seeds, *parameters
    )
    return logits


def draw_seed() -> int:
    """Return the seed of one step's dropout, drawn from torch's generator."""
    return int(torch.randint(2**62, ()))


class _DenseLogits(torch.autograd.Function):
    """Tensors of several nets are stacked, ``[N, ...]``; one net's are not: torch multiplies these faster."""

    @staticmethod
    def forward(
        ctx: Any,
        windows: Tensor,
        dtype: torch.dtype,
        dropout: float,
        seeds: Sequence[int],
        *parameters: Tensor,
    ) -> tuple[Tensor, ...]:
        num_nets = len(windows)
        dropped = round(dropout * _LEVELS)
        # numpy's generator takes half the time of torch's.
        randoms = [np.random.SFC64(seed) for seed in seeds] if dropped else None
        stacks = [
            _stacked(parameters[first : first + num_nets], dtype)
            for first in range(0, len(parameters), num_nets)
        ]
        weights, biases = stacks[::2], stacks[1::2]
        scales = [1.0] + [_LEVELS / (_LEVELS - dropped)] * (len(weights) - 1)
        units = [_stacked(windows.flatten(2), dtype).mT]  # each [N, units, B]
        for weight, bias, scale in zip(weights[:-1], biases, scales, strict=False):
            hidden = _sum_and_product(bias[..., None], weight, units[-1], scale)
            units.append(_rectified(hidden, dropped, randoms))
        logits = _sum_and_product(
            biases[-1][..., None, :], units[-1].mT.contiguous(), weights[-1].mT, scales[-1]
        )
        ctx.save_for_backward(*units, *weights)
        ctx.scales = scales
        ctx.num_nets = num_nets
        return _each(logits, num_nets)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *of_logits: Tensor) -> tuple[Tensor | None, ...]:
        scales = ctx.scales
        units, weights = ctx.saved_tensors[: len(scales)], ctx.saved_tensors[len(scales) :]
        gradient = _stacked(of_logits, of_logits[0].dtype)
        of_output = _product(units[-1], gradient, scales[-1])  # [N, units, S]
        gradients = [of_output.mT.contiguous().float(), gradient.sum(-2).float()]
        upward = _product(gradient, weights[-1], scales[-1]).mT.contiguous()  # [N, units, B]
        for layer in reversed(range(len(scales) - 1)):
            upward = torch.ops.aten.threshold_backward(upward, units[layer + 1], 0)
            of_weight = _product(upward, units[layer].mT, scales[layer]).float()
            gradients[:0] = [of_weight, upward.sum(-1).float()]
            if layer:
                upward = _product(weights[layer].mT.contiguous(), upward, scales[layer])
        return (
            None,
            None,
            None,
            None,
            *(gradient for stack in gradients for gradient in _each(stack, ctx.num_nets)),
        )


def _stacked(tensors: Sequence[Tensor] | Tensor, dtype: torch.dtype) -> Tensor:
    """Return tensors of one shape as one in a type, or the only one of them."""
    if len(tensors) == 1:
        return tensors[0].detach().to(dtype)
    if isinstance(tensors, Tensor):
        return tensors.to(dtype)
    stack = torch.empty(len(tensors), *tensors[0].shape, dtype=dtype)
    for place, tensor in zip(stack, tensors, strict=True):
        place.copy_(tensor.detach())
    return stack


def _each(stack: Tensor, num_nets: int) -> tuple[Tensor, ...]:
    """Return what :func:`_stacked` put together."""
    return (stack,) if num_nets == 1 else stack.unbind()


def _sum_and_product(term: Tensor, a: Tensor, b: Tensor, scale: float, beta: float = 1.0) -> Tensor:
    """Return ``beta * term + scale * a @ b`` of matrices or of stacks of them."""
    multiply = torch.addmm if a.ndim == 2 else torch.baddbmm
    return multiply(term, a, b, beta=beta, alpha=scale)


def _product(a: Tensor, b: Tensor, scale: float) -> Tensor:
    return _sum_and_product(a.new_zeros(1), a, b, scale, beta=0)


def _rectified(values: Tensor, dropped: int, randoms: Sequence[np.random.SFC64] | None) -> Tensor:
    """Set negative values to zero, and some others, in place.

    Floats of one sign are ordered as the integers of their bits are: clamping the bits from 0 to the largest
    integer is a rectifier, and clamping them from 0 to 0 drops the value.
    """
    bits = values.view(_INTEGERS[values.dtype])
    if randoms is None:
        bits.clamp_min_(0)
        return values
    for part, random in zip(_each(bits, len(randoms)), randoms, strict=True):
        _rectify_and_drop(part, dropped, random)
    return values


def _rectify_and_drop(bits: Tensor, dropped: int, random: np.random.SFC64) -> None:
    draws = torch.from_numpy(random.random_raw(-(-bits.numel() // 4)).view(np.int16))
    draws = draws[: bits.numel()].view(bits.shape)
    edge = dropped - _LEVELS // 2 - 1  # what is drawn up to here is dropped
    draws.clamp_(edge, edge + 1)
    largest = torch.iinfo(bits.dtype).max
    limits = (draws.to(bits.dtype) if bits.dtype != draws.dtype else draws).sub_(edge).mul_(largest)
    torch.clamp(bits, bits.new_zeros(()), limits, out=bits)
