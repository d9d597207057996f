"""Diagonal-covariance Gaussian mixtures, one for each pdf, scored together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from asr_kd.atomic import atomic_path, plain_errors, usual_mode
from asr_kd.errors import ModelError

Array = np.ndarray[Any, Any]

_FRAMES_AT_ONCE = 512
_TENSORS = ("weights", "means", "variances", "pdf_offsets")


class DiagGmm:
    """The mixtures of all pdfs; the components of one pdf stand side by side.

    Args:
        weights: Of the components within their pdf, ``[G]``.
        means: ``[G, D]``.
        variances: ``[G, D]``.
        pdf_offsets: First component of each pdf, and G at the end, ``[S + 1]``.
    """

    def __init__(self, weights: Array, means: Array, variances: Array, pdf_offsets: Array) -> None:
        assert pdf_offsets[0] == 0, "the first pdf has the first component"
        assert pdf_offsets[-1] == len(weights) == len(means) == len(variances), "one row a component"
        assert bool(np.all(np.diff(pdf_offsets) > 0)), "each pdf has a component"
        self.weights = weights.astype(np.float64)
        self.means = means.astype(np.float64)
        self.variances = variances.astype(np.float64)
        self.pdf_offsets = pdf_offsets.astype(np.int64)
        self._coefficients = self._linear_coefficients()  # [G, 2 * D + 1]

    @property
    def num_pdfs(self) -> int:
        """Number of pdfs S."""
        return len(self.pdf_offsets) - 1

    @property
    def num_gaussians(self) -> int:
        """Number of components G over all pdfs."""
        return len(self.weights)

    @property
    def dim(self) -> int:
        """Width D of the features."""
        return int(self.means.shape[1])

    @property
    def pdf_of_component(self) -> Array:
        """The pdf that each component belongs to, ``[G]``."""
        return np.repeat(np.arange(self.num_pdfs), np.diff(self.pdf_offsets))

    def _linear_coefficients(self) -> Array:
        """Return each component's log-likelihood as a linear function of ``[x, x ** 2, 1]``."""
        precision = 1.0 / self.variances
        with np.errstate(divide="ignore"):
            log_weights = np.log(self.weights)
        constant = log_weights - 0.5 * (
            self.dim * np.log(2 * np.pi)
            + np.log(self.variances).sum(axis=1)
            + (self.means**2 * precision).sum(axis=1)
        )
        return np.hstack([self.means * precision, -0.5 * precision, constant[:, None]])

    def component_log_likelihoods(self, features: Array, first: int, last: int) -> Array:
        """Return ``log(weight * density)`` of components ``first`` to ``last - 1``, ``[last - first, T]``.

        The result has the precision of ``features``.
        """
        extended = _extend(features)
        return self._coefficients[first:last].astype(features.dtype) @ extended.T

    def log_likelihoods(self, features: Array, pdf_ids: Array | None = None) -> Array:
        """Return ``log p(x | pdf)`` of each frame.

        Args:
            features: ``[T, D]``.
            pdf_ids: Different pdfs to score, ascending; all by default.

        Returns:
            float32 ``[T, S]``, or ``[T, len(pdf_ids)]``.
        """
        if features.shape[1] != self.dim:
            raise ModelError("features do not fit the Gaussians", expected=self.dim, got=features.shape[1])
        chosen = np.arange(self.num_pdfs) if pdf_ids is None else pdf_ids
        sizes = np.diff(self.pdf_offsets)[chosen]
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        components = np.repeat(self.pdf_offsets[chosen] - starts, sizes) + np.arange(sizes.sum())
        coefficients = self._coefficients[components].astype(np.float32)
        scores = np.empty((len(features), len(chosen)), dtype=np.float32)
        for begin in range(0, len(features), _FRAMES_AT_ONCE):
            block = _extend(features[begin : begin + _FRAMES_AT_ONCE].astype(np.float32))
            scores[begin : begin + _FRAMES_AT_ONCE] = _log_sum_exp(coefficients @ block.T, starts, sizes).T
        return scores

    def save(self, path: Path, metadata: dict[str, str] | None = None) -> None:
        """Write the mixtures as safetensors, atomically."""
        tensors = {name: np.ascontiguousarray(getattr(self, name)) for name in _TENSORS}
        with atomic_path(path) as temporary, usual_mode(temporary), plain_errors(temporary):
            save_file(tensors, temporary, metadata=metadata)

    @classmethod
    def load(cls, path: Path) -> DiagGmm:
        """Read what :meth:`save` wrote.

        Raises:
            ModelError: When the file is missing, damaged or something else.
        """
        if not path.is_file():
            raise ModelError("no Gaussian mixtures are stored here", where=path, hint="run the align stage")
        try:
            tensors = load_file(path)
        except SafetensorError as error:
            raise ModelError(f"not a safetensors file: {error}", where=path) from None
        if set(tensors) != set(_TENSORS):
            raise ModelError("not Gaussian mixtures", where=path, expected=_TENSORS, got=sorted(tensors))
        return cls(**tensors)


def _extend(features: Array) -> Array:
    """Return ``[x, x ** 2, 1]`` of each frame, ``[T, 2 * D + 1]``."""
    return np.hstack([features, features**2, np.ones((len(features), 1), dtype=features.dtype)])


def _log_sum_exp(values: Array, starts: Array, sizes: Array) -> Array:
    """Return the logarithm of the summed exponentials of each group of rows; overwrites ``values``."""
    highest = np.maximum.reduceat(values, starts, axis=0)  # [G, T] -> [S, T]
    values -= np.repeat(highest, sizes, axis=0)
    np.exp(values, out=values)
    result: Array = np.log(np.add.reduceat(values, starts, axis=0)) + highest
    return result
