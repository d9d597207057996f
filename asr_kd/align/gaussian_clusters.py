"""How well one diagonal Gaussian explains frames: the measure of phone clusters and of tree splits."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

_LOG_TWO_PI = math.log(2 * math.pi)


def packed_moments(counts: Array, first: Array, second: Array) -> Array:
    """Return counts, sums and sums of squares side by side, ``[N, 1 + 2 * D]``."""
    return np.concatenate([counts[:, None], first, second], axis=1)


def gaussian_log_likelihood(moments: Array, variance_floor: Array) -> Array:
    """Return the log-likelihood of the frames of each row under their own maximum-likelihood Gaussian.

    ``-n / 2 * sum_d (log(2 pi v_d) + s_d / v_d)`` with ``v = max(s, floor)`` and s the frames' variance.

    Args:
        moments: ``[N, 1 + 2 * D]``; see :func:`packed_moments`. A row without frames gives 0.
        variance_floor: ``[D]``.

    Source: Kaldi ``GaussClusterable::Objf``.
    """
    dim = len(variance_floor)
    counts = moments[:, 0]
    safe = np.maximum(counts, np.finfo(np.float64).tiny)[:, None]
    mean = moments[:, 1 : dim + 1] / safe
    sample_variance = np.maximum(moments[:, dim + 1 :] / safe - mean**2, 0.0)
    variance = np.maximum(sample_variance, variance_floor)
    per_frame = (np.log(variance) + sample_variance / variance).sum(axis=1) + dim * _LOG_TWO_PI
    likelihood: Array = np.where(counts > 0, -0.5 * counts * per_frame, 0.0)
    return likelihood
