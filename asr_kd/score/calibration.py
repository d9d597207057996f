"""Calibration: whether a frame that gets a posterior of 0.8 is right in 80 of 100 cases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

NUM_BINS = 15


class Calibration:
    """Counts of frames by the posterior of their best senone, in bins of equal width from 0 to 1.

    Attributes:
        num_frames: int64 ``[B]``.
        num_correct: int64 ``[B]``, those whose best senone is the aligned one.
        confidence: float64 ``[B]``, sums of the best senone's posteriors.

    Source: Guo, Pleiss, Sun & Weinberger 2017, "On calibration of modern neural networks", section 2.
    """

    def __init__(self, num_bins: int = NUM_BINS) -> None:
        self.num_frames = np.zeros(num_bins, dtype=np.int64)
        self.num_correct = np.zeros(num_bins, dtype=np.int64)
        self.confidence = np.zeros(num_bins)

    def add(self, posteriors: NDArray[Any], correct: NDArray[np.bool_]) -> None:
        """Count frames.

        Args:
            posteriors: Of the best senone of each frame ``[T]``, from 0 to 1.
            correct: Whether it is the aligned one ``[T]``.
        """
        num_bins = len(self.num_frames)
        # The first bin is closed below, all are closed above, as in the paper.
        bins = np.clip(np.ceil(posteriors * num_bins).astype(np.int64) - 1, 0, num_bins - 1)
        self.num_frames += np.bincount(bins, minlength=num_bins)
        self.num_correct += np.bincount(bins[correct], minlength=num_bins)
        self.confidence += np.bincount(bins, weights=posteriors, minlength=num_bins)

    @property
    def expected_error(self) -> float:
        """Expected calibration error (ECE): mean over frames of ``|accuracy - confidence|`` of their bin."""
        total = int(self.num_frames.sum())
        return float(np.abs(self.num_correct - self.confidence).sum() / total) if total else 0.0

    def to_json(self) -> dict[str, list[Any]]:
        """Return the counts as a JSON-like value."""
        return {
            "num_frames": self.num_frames.tolist(),
            "num_correct": self.num_correct.tolist(),
            "confidence": self.confidence.tolist(),
        }

    @classmethod
    def summed(cls, stored: Sequence[dict[str, list[Any]]]) -> Calibration:
        """Return the sum of counts that :meth:`to_json` described."""
        total = cls(len(stored[0]["num_frames"]))
        for each in stored:
            total.num_frames += np.asarray(each["num_frames"])
            total.num_correct += np.asarray(each["num_correct"])
            total.confidence += np.asarray(each["confidence"])
        return total
