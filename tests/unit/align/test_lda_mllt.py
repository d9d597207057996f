"""LDA against the generalised eigenproblem, MLLT against its objective and a known rotation."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy.linalg import eigh

from asr_kd.align.gmm import DiagGmm
from asr_kd.align.lda import ClassStatistics, lda_matrix
from asr_kd.align.mllt import MlltStatistics, mllt_matrix, mllt_objective
from asr_kd.align.spliced import SplicedTransform, splice
from asr_kd.errors import AlignmentError


def test_spliced_frames_repeat_the_edges() -> None:
    features = np.array([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]])
    assert splice(features, 1).tolist() == [
        [1, 10, 1, 10, 2, 20],
        [1, 10, 2, 20, 3, 30],
        [2, 20, 3, 30, 3, 30],
    ]
    assert splice(features[:0], 3).shape == (0, 14)
    total = SplicedTransform(1, np.ones((1, 6)))
    assert total(features).tolist() == [[44.0], [66.0], [88.0]]


@pytest.fixture(scope="module")
def classes() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 6, 3000)
    mixing = rng.normal(size=(5, 5))
    return (rng.normal(size=(6, 5))[labels] + rng.normal(size=(3000, 5))) @ mixing, labels


def statistics_of(features: np.ndarray, labels: np.ndarray) -> ClassStatistics:
    statistics = ClassStatistics.zeros(7, features.shape[1])  # one class is never seen
    half = ClassStatistics.zeros(7, features.shape[1])
    statistics.add_frames(features[:1000], labels[:1000])
    half.add_frames(features[1000:], labels[1000:])
    statistics.add(half)
    return statistics


def test_covariances_are_those_of_the_frames(classes: tuple[np.ndarray, np.ndarray]) -> None:
    features, labels = classes
    within, between = statistics_of(features, labels).covariances()
    np.testing.assert_allclose(within + between, np.cov(features.T, bias=True), atol=1e-9)
    apart = features - np.array([features[labels == label].mean(axis=0) for label in range(6)])[labels]
    np.testing.assert_allclose(within, apart.T @ apart / len(apart), atol=1e-9)


def test_lda_solves_the_generalised_eigenproblem(classes: tuple[np.ndarray, np.ndarray]) -> None:
    features, labels = classes
    statistics = statistics_of(features, labels)
    within, between = statistics.covariances()
    matrix = lda_matrix(statistics, 3)
    values, vectors = eigh(between, within)
    for row, value, vector in zip(matrix, values[::-1], vectors.T[::-1], strict=False):
        assert abs(row @ within @ vector) == pytest.approx(1, abs=1e-8)
        assert row @ between @ row == pytest.approx(value)
        assert row[np.abs(row).argmax()] > 0
    np.testing.assert_allclose(matrix @ within @ matrix.T, np.eye(3), atol=1e-9)


def test_what_has_no_lda_is_refused(classes: tuple[np.ndarray, np.ndarray]) -> None:
    features, labels = classes
    with pytest.raises(AlignmentError, match="expected 5 or fewer, got 6"):
        lda_matrix(statistics_of(features, labels), 6)
    with pytest.raises(AlignmentError, match="do not vary within senones"):
        lda_matrix(statistics_of(np.hstack([features, np.ones((3000, 1))]), labels), 2)


def two_mixtures() -> DiagGmm:
    rng = np.random.default_rng(5)
    return DiagGmm(
        np.array([0.4, 0.6, 1.0]),
        rng.normal(scale=4, size=(3, 4)),
        rng.uniform(0.5, 2, size=(3, 4)),
        np.array([0, 2, 3]),
    )


def test_statistics_of_single_gaussians_by_hand() -> None:
    gmm = DiagGmm(
        np.ones(2), np.array([[1.0, 0.0], [0.0, 0.0]]), np.array([[2.0, 4.0], [1.0, 1.0]]), np.arange(3)
    )
    statistics = MlltStatistics.zeros(2)
    statistics.add_frames(gmm, np.array([[3.0, 1.0], [0.0, 2.0]]), np.array([0, 1]))
    # (2, 1) from the first mean: outer product [[4, 2], [2, 1]]; (0, 2) from the second: [[0, 0], [0, 4]].
    assert statistics.scatter[0].tolist() == [[2.0, 1.0], [1.0, 0.5 + 4.0]]
    assert statistics.scatter[1].tolist() == [[1.0, 0.5], [0.5, 0.25 + 4.0]]
    assert statistics.num_frames == 2


def test_objective_never_falls_and_is_that_of_the_likelihood() -> None:
    rng = np.random.default_rng(7)
    gmm = two_mixtures()
    pdf_ids = rng.integers(0, 2, 4000)
    features = gmm.means[1 + pdf_ids] + rng.normal(size=(4000, 4)) @ rng.normal(size=(4, 4))
    statistics = MlltStatistics.zeros(4)
    statistics.add_frames(gmm, features, pdf_ids)
    objectives = [mllt_objective(mllt_matrix(statistics, sweeps), statistics) for sweeps in range(8)]
    assert objectives[0] == pytest.approx(mllt_objective(np.eye(4), statistics))
    assert all(after >= before - 1e-12 for before, after in pairwise(objectives))
    assert objectives[-1] > objectives[0] + 0.1


def test_transform_undoes_a_rotation_of_diagonal_gaussians() -> None:
    """Correlated frames around two means: the transformed ones are not correlated within classes."""
    rng = np.random.default_rng(9)
    pdf_ids = rng.integers(0, 2, 20000)
    spread = np.array([[0.3, 1.0, 3.0], [2.0, 0.5, 1.0]])[pdf_ids]
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    features = (np.array([[0, 0, 0], [5, -5, 5]])[pdf_ids] + spread * rng.normal(size=(20000, 3))) @ rotation
    matrix, gmm = np.eye(3), None
    for _ in range(15):
        seen = features @ matrix.T
        moments = [(seen[pdf_ids == pdf].mean(axis=0), seen[pdf_ids == pdf].var(axis=0)) for pdf in (0, 1)]
        means, variances = (np.array(each) for each in zip(*moments, strict=True))
        gmm = DiagGmm(np.ones(2), means, variances, np.arange(3))
        statistics = MlltStatistics.zeros(3)
        statistics.add_frames(gmm, seen, pdf_ids)
        matrix = mllt_matrix(statistics) @ matrix
    for pdf in (0, 1):
        correlation = np.corrcoef((features[pdf_ids == pdf] @ matrix.T).T)
        assert np.abs(correlation - np.eye(3)).max() < 0.03
        assert np.abs(np.corrcoef(features[pdf_ids == pdf].T) - np.eye(3)).max() > 0.3
