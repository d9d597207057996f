"""The mean of several nets' posteriors in one Triton program a row: each net's logits are read once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from asr_kd.am.triton_kernels import compiled, runs_triton, tl, triton

_MOST_SENONES = 65_536
"""That fit in the registers of one program, 64 a thread."""
_SENONES_PER_WARP = 1024


def is_fused_mean_on(device: torch.device, num_senones: int) -> bool:
    """Return whether :func:`log_mean_softmax` runs on a device for rows of so many senones."""
    return runs_triton(device) and num_senones <= _MOST_SENONES


def log_mean_softmax(logits: Tensor, shares: Sequence[float], temperature: float) -> Tensor:
    """Return ``log sum_n share_n softmax(logits_n / T)``, float32 ``[R, S]``.

    What is below float32's least number becomes -inf.

    Args:
        logits: ``[N, R, S]``, contiguous.
        shares: Of each net.
        temperature: T.
    """
    num_nets, num_rows, num_senones = logits.shape
    assert logits.is_contiguous()
    out = torch.empty(num_rows, num_senones, device=logits.device)
    if num_rows == 0:
        return out
    block = triton.next_power_of_2(num_senones)
    compiled(_rows)[(num_rows,)](
        logits,
        num_rows,
        torch.tensor(list(shares)).to(logits.device, non_blocking=True),
        out,
        1 / temperature,
        num_nets=num_nets,
        num_senones=num_senones,
        block=block,
        num_warps=min(max(block // _SENONES_PER_WARP, 1), 32),
    )
    return out


def _rows(  # type: ignore[no-untyped-def]  # Triton resolves annotations by itself
    logits_ptr,
    num_rows,
    shares_ptr,
    out_ptr,
    inverse_temperature,
    num_nets: tl.constexpr,
    num_senones: tl.constexpr,
    block: tl.constexpr,
) -> None:
    row = tl.program_id(0).to(tl.int64)
    columns = tl.arange(0, block)
    total = tl.zeros([block], tl.float32)
    for net in range(num_nets):
        line = logits_ptr + (net * num_rows + row) * num_senones
        x = tl.load(line + columns, mask=columns < num_senones, other=float("-inf")).to(tl.float32)
        x *= inverse_temperature
        e = tl.exp(x - tl.max(x, 0))
        total += e * (tl.load(shares_ptr + net) / tl.sum(e, 0))
    tl.store(out_ptr + row * num_senones + columns, tl.log(total), mask=columns < num_senones)
