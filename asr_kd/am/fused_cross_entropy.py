"""Cross-entropy of hard and sparse soft targets with its gradient, one Triton program a row of logits.

A large output layer's logits are read from a GPU's memory once and written once, as their own gradient. What
it computes is written plainly in :mod:`asr_kd.distill.soft_cross_entropy`.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from asr_kd.am.triton_kernels import compiled, tl, triton

_LONGEST_BLOCK = 4096
"""Senones of a row that are in registers at a time."""
_SENONES_PER_WARP = 512
_SCALED_BLOCK = 8192


class SparseTargets(NamedTuple):
    """The kept senones of B rows; an entry of probability 0 is padding, and the other ids of a row differ.

    Attributes:
        probs: ``[B, K]``.
        ids: ``[B, K]``, integers.
        tail: ``[B]``, the mass of all senones that are not kept, as one class; None where rows stand for
            themselves.
    """

    probs: Tensor
    ids: Tensor
    tail: Tensor | None


class RowLosses(NamedTuple):
    """Losses of B rows, float32 ``[B]``.

    Attributes:
        soft: ``-sum_k q_k log p_T,k - q_tail log p_T,tail``; 0 without soft targets.
        hard: ``-log p_1,y``; 0 without a label.
    """

    soft: Tensor
    hard: Tensor


def replace_by_gradient(
    logits: Tensor,
    labels: Tensor,
    soft: SparseTargets | None,
    temperature: float,
    soft_scale: Tensor,
    hard_scale: Tensor,
) -> RowLosses:
    """Write ``soft_scale * d soft / d (logits / T) + hard_scale * d hard / d logits`` over the logits.

    Args:
        logits: ``[B, S]``, float32 or bfloat16, rows contiguous; the sums are float32.
        labels: int64 ``[B]``; negative where a row has none.
        soft: Targets made with the same temperature.
        temperature: T.
        soft_scale: A scalar or one a row ``[B]``, on the device, which the host does not read.
        hard_scale: Likewise.
    """
    num_rows, num_senones = logits.shape
    assert logits.stride(1) == 1
    losses = torch.zeros(2, num_rows, device=logits.device)
    if num_rows == 0:
        return RowLosses(*losses)
    probs, ids, tail = soft or SparseTargets(losses, labels, None)
    block = min(triton.next_power_of_2(num_senones), _LONGEST_BLOCK)
    scales = [scale.float().contiguous() for scale in (soft_scale, hard_scale)]
    compiled(_rows)[(num_rows,)](
        logits,
        logits.stride(0),
        labels,
        probs.contiguous(),
        ids.contiguous(),
        losses if tail is None else tail.contiguous(),
        probs.shape[1],
        1 / temperature,
        *scales,
        *losses,
        num_senones=num_senones,
        soft_scale_stride=scales[0].dim(),
        hard_scale_stride=scales[1].dim(),
        has_soft=soft is not None,
        has_tail=tail is not None,
        block=block,
        num_kept_block=triton.next_power_of_2(probs.shape[1]) if soft is not None else 1,
        num_warps=min(max(block // _SENONES_PER_WARP, 1), 16),
    )
    return RowLosses(*losses)


def scale_in_place(gradient: Tensor, scale: Tensor) -> None:
    """Multiply a contiguous tensor with a scalar; where that is 1, its memory is not touched.

    Args:
        gradient: Of any shape.
        scale: A scalar on the device, which the host does not read.
    """
    assert gradient.is_contiguous()
    blocks = triton.cdiv(gradient.numel(), _SCALED_BLOCK)
    if blocks:
        compiled(_scaled)[(blocks,)](gradient, scale, gradient.numel(), block=_SCALED_BLOCK)


def _scaled(  # type: ignore[no-untyped-def]  # Triton resolves annotations by itself
    values_ptr, scale_ptr, num_values, block: tl.constexpr
) -> None:
    scale = tl.load(scale_ptr).to(tl.float32)
    places = tl.program_id(0).to(tl.int64) * block + tl.arange(0, block)
    # Without a branch: what is masked costs no memory traffic.
    is_changed = places < tl.where(scale != 1.0, num_values, 0)
    values = tl.load(values_ptr + places, mask=is_changed, other=0.0).to(tl.float32)
    tl.store(values_ptr + places, values * scale, mask=is_changed)


def _rows(  # type: ignore[no-untyped-def]  # noqa: PLR0915  # Triton resolves annotations, and is given one function a kernel
    logits_ptr,
    stride,
    labels_ptr,
    probs_ptr,
    ids_ptr,
    tail_ptr,
    num_kept,
    inverse_temperature,
    soft_scale_ptr,
    hard_scale_ptr,
    soft_ptr,
    hard_ptr,
    num_senones: tl.constexpr,
    soft_scale_stride: tl.constexpr,
    hard_scale_stride: tl.constexpr,
    has_soft: tl.constexpr,
    has_tail: tl.constexpr,
    block: tl.constexpr,
    num_kept_block: tl.constexpr,
) -> None:
    lowest = float("-inf")
    row = tl.program_id(0).to(tl.int64)
    line = logits_ptr + row * stride
    label = tl.load(labels_ptr + row)
    soft_scale = tl.load(soft_scale_ptr + row * soft_scale_stride)
    hard_scale = tl.where(label >= 0, tl.load(hard_scale_ptr + row * hard_scale_stride), 0.0)
    at_label = tl.load(line + tl.maximum(label, 0)).to(tl.float32)
    kept = tl.arange(0, num_kept_block)
    probs = tl.zeros([num_kept_block], tl.float32)
    ids = tl.zeros([num_kept_block], tl.int64)
    if has_soft:
        probs += tl.load(probs_ptr + row * num_kept + kept, mask=kept < num_kept, other=0.0).to(tl.float32)
        ids += tl.load(ids_ptr + row * num_kept + kept, mask=kept < num_kept, other=0).to(tl.int64)
    is_kept = probs > 0
    at_kept = tl.load(line + ids, mask=is_kept, other=lowest).to(tl.float32)
    # The row without its kept senones is the tail, whose sum must not come from a difference.
    tl.debug_barrier()
    tl.store(line + ids, lowest, mask=is_kept)
    tl.debug_barrier()

    # Sums over the tail of e^(x - top) and e^((x - top) / T), the largest x so far being top.
    top = lowest
    hard_sum = 0.0
    soft_sum = 0.0
    for first in range(0, num_senones, block):
        columns = first + tl.arange(0, block)
        x = tl.load(line + columns, mask=columns < num_senones, other=lowest).to(tl.float32)
        largest = tl.maximum(top, tl.max(x, 0))
        base = tl.where(largest == lowest, 0.0, largest)
        hard_sum = hard_sum * tl.exp(top - base) + tl.sum(tl.exp(x - base), 0)
        if has_soft:
            soft_sum = soft_sum * tl.exp((top - base) * inverse_temperature)
            soft_sum += tl.sum(tl.exp((x - base) * inverse_temperature), 0)
        top = largest

    # Sums over all senones.
    whole_top = tl.maximum(top, tl.max(at_kept, 0))
    whole = hard_sum * tl.exp(top - whole_top) + tl.sum(tl.exp(at_kept - whole_top), 0)
    hard_log_sum = whole_top + tl.log(whole)
    tl.store(hard_ptr + row, tl.where(label >= 0, hard_log_sum - at_label, 0.0))
    soft_log_sum = 0.0
    tail_log_sum = 0.0
    mass = 0.0
    coefficient = 0.0
    if has_soft:
        whole = soft_sum * tl.exp((top - whole_top) * inverse_temperature)
        whole += tl.sum(tl.exp((at_kept - whole_top) * inverse_temperature), 0)
        soft_log_sum = whole_top * inverse_temperature + tl.log(whole)
        mass = tl.sum(probs, 0)
        log_kept = tl.where(is_kept, at_kept * inverse_temperature - soft_log_sum, 0.0)
        loss = -tl.sum(probs * log_kept, 0)
        # Q p_j for senones of the tail, (Q p_tail - q_tail) p_j / p_tail where the tail is a class.
        coefficient = mass
        tail_log_sum = soft_log_sum
        if has_tail:
            stored = tl.load(tail_ptr + row).to(tl.float32)
            mass += stored
            has_mass = soft_sum > 0
            tail_mass = tl.where(has_mass, stored, 0.0)
            of_tail = tl.where(has_mass, top, 0.0) * inverse_temperature
            of_tail += tl.log(tl.where(has_mass, soft_sum, 1.0))
            tail_log_sum = tl.where(has_mass, of_tail, soft_log_sum)
            loss -= tail_mass * (tail_log_sum - soft_log_sum)
            coefficient = mass * tl.exp(tail_log_sum - soft_log_sum) - tail_mass
        tl.store(soft_ptr + row, loss)

    for first in range(0, num_senones, block):
        columns = first + tl.arange(0, block)
        x = tl.load(line + columns, mask=columns < num_senones, other=lowest).to(tl.float32)
        gradient = hard_scale * (tl.exp(x - hard_log_sum) - tl.where(columns == label, 1.0, 0.0))
        if has_soft:
            p = tl.exp(x * inverse_temperature - tail_log_sum)
            gradient += soft_scale * coefficient * p
        tl.store(line + columns, gradient, mask=columns < num_senones)
    if has_soft:
        tl.debug_barrier()
        p = tl.exp(at_kept * inverse_temperature - soft_log_sum)
        gradient = soft_scale * (mass * p - probs)
        gradient += hard_scale * (tl.exp(at_kept - hard_log_sum) - tl.where(ids == label, 1.0, 0.0))
        tl.store(line + ids, gradient, mask=is_kept)
