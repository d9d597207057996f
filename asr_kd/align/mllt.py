"""Maximum-likelihood linear transform: a rotation that suits diagonal covariances."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from asr_kd.align.gmm import Array, DiagGmm

_NUM_SWEEPS = 20


@dataclass
class MlltStatistics:
    """What the transform is estimated from.

    Attributes:
        scatter: For each dimension the outer products of ``x - mean``, each divided by the variance of its
            component in that dimension, float64 ``[D, D, D]``.
        num_frames: Summed posteriors.
    """

    scatter: Array
    num_frames: float = 0.0

    @classmethod
    def zeros(cls, dim: int) -> MlltStatistics:
        """Return empty statistics."""
        return cls(np.zeros((dim, dim, dim)))

    def add_frames(self, gmm: DiagGmm, features: Array, pdf_ids: Array) -> None:
        """Add frames ``[T, D]`` of an alignment ``[T]``.

        Source: Kaldi ``gmm-acc-mllt``.
        """
        for pdf_id in np.unique(pdf_ids):
            rows = features[pdf_ids == pdf_id].astype(np.float64)  # [n, D]
            first, last = gmm.pdf_offsets[pdf_id], gmm.pdf_offsets[pdf_id + 1]
            components = gmm.component_log_likelihoods(rows, first, last)  # [g, n]
            posteriors = np.exp(components - np.logaddexp.reduce(components, axis=0))
            for number, posterior in enumerate(posteriors, start=first):
                apart = rows - gmm.means[number]
                outer = (apart * posterior[:, None]).T @ apart  # [D, D]
                self.scatter += outer / gmm.variances[number][:, None, None]
            self.num_frames += len(rows)

    def add(self, other: MlltStatistics) -> None:
        """Add the statistics of other frames."""
        self.scatter += other.scatter
        self.num_frames += other.num_frames


def mllt_objective(matrix: Array, statistics: MlltStatistics) -> float:
    """Return the part of the log-likelihood per frame that the transform changes.

    log |det M| - 1/2 sum over i of m_i G_i m_i', over the frames; m_i is a row and G_i its scatter.

    Source: Gales 1999, "Semi-Tied Covariance Matrices for Hidden Markov Models".
    """
    _, log_det = np.linalg.slogdet(matrix)
    quadratic = np.einsum("ij,ijk,ik->", matrix, statistics.scatter, matrix)
    return float(log_det - 0.5 * quadratic / statistics.num_frames)


def mllt_matrix(statistics: MlltStatistics, num_sweeps: int = _NUM_SWEEPS) -> Array:
    """Return the transform ``[D, D]``, to be applied to features and means.

    Each row in turn is set to the best one for the others as they are, so that the objective never falls.

    Source: Gales 1999, section 3; Kaldi ``MlltAccs::Update``.
    """
    dim = len(statistics.scatter)
    inverses = np.linalg.inv(statistics.scatter / statistics.num_frames)
    matrix = np.eye(dim)
    for _ in range(num_sweeps):
        for row in range(dim):
            # Row of the cofactor matrix, but for a factor that does not matter.
            cofactors = np.linalg.inv(matrix)[:, row]
            direction = inverses[row] @ cofactors
            matrix[row] = direction / np.sqrt(cofactors @ direction)
    return matrix
