"""How fast a net trains, beside how fast this device multiplies matrices."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable

import torch
from torch import nn

from asr_kd.am.dnn import matmul_flop_per_frame

_SIZES = {"cpu": 1024, "cuda": 8192}
_REPEATS = 3


def training_flop_per_frame(net: nn.Module) -> int:
    """Return the matrix products' work of one frame's forward and backward pass in FLOP.

    Returns:
        Three times the forward's work, less the gradient of the input, which nothing needs; 0 for a net with
        other layers with weights than linear ones, whose work is not known.
    """
    weighted = [
        module for module in net.modules() if next(module.parameters(recurse=False), None) is not None
    ]
    linear = [module for module in weighted if isinstance(module, nn.Linear)]
    if not linear or any(not isinstance(module, nn.Linear | nn.LayerNorm) for module in weighted):
        return 0
    return 3 * matmul_flop_per_frame(net) - 2 * linear[0].in_features * linear[0].out_features


@functools.cache
def matmul_flops(device: str, dtype: torch.dtype) -> float:
    """Return what :func:`measured_matmul_flops` gave, once a process; it takes below 0.3 s."""
    return measured_matmul_flops(device, dtype)


def measured_matmul_flops(
    device: str,
    dtype: torch.dtype,
    size: int | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Measure the rate of a square matrix product in FLOP/s.

    Args:
        device: ``cpu`` or ``cuda``.
        dtype: Of the factors.
        size: Rows and columns of the factors; None takes what fills the device.
        clock: Seconds; ``time.process_time`` where others use the processor.
    """
    size = size or _SIZES.get(device, 1024)
    # Not of ones: a processor that has less to switch runs faster. Not from the generator of dropout.
    generator = torch.Generator(device).manual_seed(0)
    factor = torch.randn(size, size, generator=generator, device=device).to(dtype)
    best = float("inf")
    for _ in range(_REPEATS + 1):
        _wait(device)
        start = clock()
        factor @ factor
        _wait(device)
        best = min(best, clock() - start)
    return 2.0 * size**3 / best


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
