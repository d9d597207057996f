"""Dynamic features: deltas of any order."""

from __future__ import annotations

from typing import Any

import numpy as np


def add_deltas(features: np.ndarray[Any, Any], order: int = 2, window: int = 2) -> np.ndarray[Any, Any]:
    """Append regression coefficients over time to each frame.

    Args:
        features: ``[T, D]``.
        order: Highest order; 2 appends deltas and delta-deltas, 0 nothing.
        window: Frames to each side that one regression sees; the edge frames are repeated.

    Returns:
        float32 ``[T, D * (order + 1)]``.

    Source: Kaldi ``ComputeDeltas`` in feature-functions.cc.
    """
    num_frames = len(features)
    blocks = [features.astype(np.float32)]
    for scales in _filters(order, window)[1:]:
        reach = len(scales) // 2
        padded = np.pad(blocks[0], ((reach, reach), (0, 0)), mode="edge") if num_frames else blocks[0]
        block = np.zeros_like(blocks[0])
        for shift, scale in enumerate(scales):
            block += np.float32(scale) * padded[shift : shift + num_frames]
        blocks.append(block)
    return np.concatenate(blocks, axis=1)


def _filters(order: int, window: int) -> list[np.ndarray[Any, Any]]:
    """Return the filter of each order; a higher one is the convolution of the one below it with the first."""
    steps = np.arange(-window, window + 1, dtype=np.float64)
    regression = steps / np.sum(steps**2)
    filters = [np.ones(1)]
    for _ in range(order):
        filters.append(np.convolve(filters[-1], regression))
    return filters
