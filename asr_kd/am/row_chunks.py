"""Rows of a large output layer's logits, some at a time."""

from __future__ import annotations

from torch import Tensor

# So many values stay in a processor's cache from one operation to the next.
_ELEMENTS = 1 << 18
# A GPU is busy with so many for longer than a kernel takes to start; temporary values are some of these.
_ELEMENTS_ON_GPU = 1 << 26


def row_chunks(logits: Tensor) -> list[slice]:
    """Return slices of rows of logits ``[B, S]`` that are best worked on together on their device."""
    elements = _ELEMENTS if logits.device.type == "cpu" else _ELEMENTS_ON_GPU
    num_rows = max(1, elements // logits.shape[1])
    return [slice(first, first + num_rows) for first in range(0, len(logits), num_rows)]
