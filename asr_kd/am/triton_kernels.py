"""Triton where it runs: the modules with kernels take it from here, and plain torch stands in elsewhere."""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Callable
from typing import Any

import torch

try:
    import triton
    from triton import language as tl
except ImportError:  # torch's builds for CPUs come without it
    triton = tl = None

__all__ = ["compiled", "runs_triton", "tl", "triton"]


def runs_triton(device: torch.device) -> bool:
    """Return whether Triton's kernels run on a device."""
    return device.type == "cuda" and triton is not None and _has_compiler()


@functools.cache
def compiled(kernel: Callable[..., None]) -> Any:
    """Return a kernel as Triton launches it: ``compiled(kernel)[grid](...)``."""
    return triton.jit(kernel)


@functools.cache
def _has_compiler() -> bool:
    """Return whether the machine has the C compiler that Triton starts its kernels with."""
    return "CC" in os.environ or any(shutil.which(name) for name in ("gcc", "clang"))
