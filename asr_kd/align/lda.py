"""Linear discriminant analysis of classes of frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from asr_kd.align.gmm import Array
from asr_kd.errors import AlignmentError


@dataclass
class ClassStatistics:
    """Sums over frames by class.

    Attributes:
        counts: Frames of each class, float64 ``[S]``.
        first: Summed features, float64 ``[S, D]``.
        second: Summed outer products over all classes, float64 ``[D, D]``.
    """

    counts: Array
    first: Array
    second: Array

    @classmethod
    def zeros(cls, num_classes: int, dim: int) -> ClassStatistics:
        """Return empty sums."""
        return cls(np.zeros(num_classes), np.zeros((num_classes, dim)), np.zeros((dim, dim)))

    def add_frames(self, features: Array, classes: Array) -> None:
        """Add frames ``[T, D]`` of classes ``[T]``."""
        rows = features.astype(np.float64)
        self.counts += np.bincount(classes, minlength=len(self.counts))
        np.add.at(self.first, classes, rows)
        self.second += rows.T @ rows

    def add(self, other: ClassStatistics) -> None:
        """Add the sums over other frames."""
        self.counts += other.counts
        self.first += other.first
        self.second += other.second

    def covariances(self) -> tuple[Array, Array]:
        """Return the covariances ``[D, D]`` within classes and between their means."""
        total = self.counts.sum()
        seen = self.counts > 0
        means = self.first[seen] / self.counts[seen][:, None]
        of_classes = (means * self.counts[seen][:, None]).T @ means / total
        mean = self.first.sum(axis=0) / total
        return self.second / total - of_classes, of_classes - np.outer(mean, mean)


def lda_matrix(statistics: ClassStatistics, dim: int) -> Array:
    """Return the directions in which class means differ most, the covariance within classes being 1.

    Args:
        statistics: Of the classes.
        dim: Number of directions K.

    Returns:
        ``[K, D]``, the best direction first; the largest entry of each is positive.

    Raises:
        AlignmentError: When features have no ``dim`` directions, or do not vary within classes.

    Source: Haeb-Umbach & Ney 1992, "Linear Discriminant Analysis for Improved Large Vocabulary Continuous
        Speech Recognition"; Kaldi ``est-lda``.
    """
    within, between = statistics.covariances()
    if dim > len(within):
        raise AlignmentError(
            "more dimensions than spliced features have", expected=f"{len(within)} or fewer", got=dim
        )
    try:
        whiten = np.linalg.inv(np.linalg.cholesky(within))
    except np.linalg.LinAlgError:
        raise AlignmentError(
            "the features do not vary within senones, so there is no LDA",
            hint="check the aligner's frontend: a dimension is constant or depends on others",
        ) from None
    _, directions = np.linalg.eigh(whiten @ between @ whiten.T)  # eigenvalues ascend
    matrix = directions[:, ::-1][:, :dim].T @ whiten
    largest = np.take_along_axis(matrix, np.abs(matrix).argmax(axis=1)[:, None], axis=1)
    signed: Array = matrix * np.sign(largest)
    return signed
