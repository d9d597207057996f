"""Seconds of the processor, and what it multiplies in one."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

_SIDE = 2048


def processor_seconds(function: Callable[[], object]) -> float:
    """Return how long a call keeps the processor busy."""
    start = time.process_time()
    function()
    return time.process_time() - start


def product_rate(dtype: torch.dtype) -> float:
    """Return the FLOP/s of a 2048^3 product, the best of three."""
    factor = torch.randn(_SIDE, _SIDE).to(dtype)
    return 2 * _SIDE**3 / min(processor_seconds(lambda: factor @ factor) for _ in range(3))
