"""How fast a net trains, beside how fast this device multiplies matrices."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import torch
from torch import nn

from asr_kd.am.dnn import matmul_flop_per_frame

_SIZES = {"cpu": 1024, "cuda": 8192}
_REPEATS = 3
_SECONDS_BETWEEN_PEAKS = 60.0


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


class MatmulPeak:
    """The highest rate that :func:`measured_matmul_flops` has given so far.

    It is measured again every minute, for below 0.3 s: others may have used the machine the last time.

    Args:
        device: ``cpu`` or ``cuda``.
        dtype: Of the factors.
        clock: Seconds.
    """

    def __init__(self, device: str, dtype: torch.dtype, clock: Callable[[], float] = time.monotonic) -> None:
        self._device, self._dtype, self._clock = device, dtype, clock
        self._highest, self._due = 0.0, -math.inf

    def flops(self) -> float:
        """Return it in FLOP/s."""
        if (now := self._clock()) >= self._due:
            self._highest = max(self._highest, measured_matmul_flops(self._device, self._dtype))
            self._due = now + _SECONDS_BETWEEN_PEAKS
        return self._highest


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
