"""State priors, and the scaled likelihoods that a hybrid model gives the decoder."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def log_prior(pdf_counts: NDArray[np.int64], smoothing: float = 1.0) -> NDArray[np.float32]:
    """Return log p(s) from the number of frames of each pdf_id in the training alignment.

    Args:
        pdf_counts: ``[S]`` frames.
        smoothing: Frames added to each count, so that an unseen state's prior is not zero.

    Returns:
        ``[S]``, natural logarithm.
    """
    counts = pdf_counts.astype(np.float64) + smoothing
    prior: NDArray[np.float32] = np.log(counts / counts.sum()).astype(np.float32)
    return prior


def log_likelihoods(log_posteriors: NDArray[np.float32], prior: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return log p(x|s) up to a constant of the frame: log p(s|x) - log p(s).

    Args:
        log_posteriors: ``[T, S]`` at temperature 1.
        prior: ``[S]`` log priors.

    Source: Bourlard & Morgan 1994; Kaldi ``nnet-forward --class-frame-counts``.
    """
    return (log_posteriors - prior[None, :]).astype(np.float32)
