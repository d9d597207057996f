"""Neighbouring frames side by side, projected by a matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from asr_kd.align.deltas import add_deltas
from asr_kd.align.gmm import Array


def splice(features: Array, reach: int) -> Array:
    """Return each frame with the frames around it, oldest first; the edge frames are repeated.

    Args:
        features: ``[T, D]``.
        reach: Frames to each side.

    Returns:
        float32 ``[T, D * (2 * reach + 1)]``.

    Source: Kaldi ``splice-feats``.
    """
    num_frames = len(features)
    frames = np.arange(num_frames)[:, None] + np.arange(-reach, reach + 1)  # [T, 2 * reach + 1]
    spliced: Array = features.astype(np.float32)[np.clip(frames, 0, max(num_frames - 1, 0))]
    return spliced.reshape(num_frames, features.shape[1] * (2 * reach + 1))


@dataclass(frozen=True)
class SplicedTransform:
    """A linear map of spliced frames.

    Attributes:
        reach: Frames to each side.
        matrix: ``[K, D * (2 * reach + 1)]``.
    """

    reach: int
    matrix: Array

    def __call__(self, features: Array) -> Array:
        """Return float32 ``[T, K]`` for stored features ``[T, D]``."""
        return splice(features, self.reach) @ self.matrix.T.astype(np.float32)

    def to_json(self) -> dict[str, Any]:
        """Return the transform as a JSON-like value."""
        return {"splice": self.reach, "matrix": self.matrix.tolist()}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> SplicedTransform:
        """Return the transform that :meth:`to_json` described."""
        return cls(int(value["splice"]), np.asarray(value["matrix"], dtype=np.float64))


def mixture_features(features: Array, delta_order: int, transform: SplicedTransform | None) -> Array:
    """Return what the mixtures see of stored features: the transform's output, or deltas without one."""
    return add_deltas(features, delta_order) if transform is None else transform(features)
