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
    filters = _filters(order, window)  # [order + 1, K]
    num_frames, reach = len(features), filters.shape[1] // 2
    if num_frames == 0:
        return np.zeros((0, features.shape[1] * (order + 1)), dtype=np.float32)
    nearest_frame = np.clip(np.arange(-reach, num_frames + reach), 0, num_frames - 1)
    padded = features.astype(np.float32)[nearest_frame]  # [T + 2 * reach, D]
    windows = np.lib.stride_tricks.sliding_window_view(padded, filters.shape[1], axis=0)  # [T, D, K]
    blocks = windows @ filters.T  # [T, D, order + 1]
    deltas: np.ndarray[Any, Any] = blocks.swapaxes(1, 2).reshape(num_frames, -1)
    return deltas


def _filters(order: int, window: int) -> np.ndarray[Any, Any]:
    """Return the filter of each order, float32 ``[order + 1, K]``.

    A higher one is the convolution of the one below it with the first, so the edges are repeated once.
    """
    steps = np.arange(-window, window + 1, dtype=np.float64)
    regression = steps / np.sum(steps**2)
    filters = np.zeros((order + 1, 2 * order * window + 1))
    current = np.ones(1)
    for row in filters:
        margin = (len(row) - len(current)) // 2
        row[margin : margin + len(current)] = current
        current = np.convolve(current, regression)
    return filters.astype(np.float32)
