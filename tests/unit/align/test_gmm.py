"""Gaussian mixtures: densities against the formula, EM that climbs and finds known parameters, splitting."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from asr_kd.align.gmm import DiagGmm
from asr_kd.align.gmm_training import GmmStatistics, accumulate, maximise, mix_up, split_targets
from asr_kd.errors import ModelError


def two_pdfs() -> DiagGmm:
    """Two components for pdf 0 and one for pdf 1, in two dimensions."""
    return DiagGmm(
        weights=np.array([0.25, 0.75, 1.0]),
        means=np.array([[0.0, 1.0], [2.0, -1.0], [5.0, 5.0]]),
        variances=np.array([[1.0, 4.0], [0.5, 2.0], [3.0, 1.0]]),
        pdf_offsets=np.array([0, 2, 3]),
    )


def normal(x: float, mean: float, variance: float) -> float:
    return math.exp(-((x - mean) ** 2) / (2 * variance)) / math.sqrt(2 * math.pi * variance)


def test_log_likelihoods_are_those_of_the_formula() -> None:
    gmm = two_pdfs()
    frames = np.array([[0.5, 0.5], [2.0, -1.0], [9.0, -4.0]], dtype=np.float32)
    scores = gmm.log_likelihoods(frames)
    assert (scores.shape, scores.dtype) == ((3, 2), np.float32)
    for row, (x, y) in zip(scores, frames, strict=True):
        first = 0.25 * normal(x, 0, 1) * normal(y, 1, 4) + 0.75 * normal(x, 2, 0.5) * normal(y, -1, 2)
        second = normal(x, 5, 3) * normal(y, 5, 1)
        assert row == pytest.approx([math.log(first), math.log(second)], rel=1e-5)


def test_far_frames_score_finite_and_in_blocks_as_at_once() -> None:
    gmm = two_pdfs()
    frames = np.random.default_rng(0).normal(scale=30, size=(1100, 2)).astype(np.float32)
    scores = gmm.log_likelihoods(frames)
    assert np.all(np.isfinite(scores))
    assert scores[1050:1060] == pytest.approx(gmm.log_likelihoods(frames[1050:1060]), rel=1e-5)


def test_a_choice_of_pdfs_scores_as_all_of_them_do() -> None:
    rng = np.random.default_rng(3)
    gmm = DiagGmm(
        rng.dirichlet(np.ones(7)),
        rng.normal(size=(7, 3)),
        rng.uniform(1, 2, (7, 3)),
        np.array([0, 2, 3, 6, 7]),
    )
    frames = rng.normal(size=(20, 3)).astype(np.float32)
    chosen = np.array([0, 2, 3])
    assert gmm.log_likelihoods(frames, chosen) == pytest.approx(
        gmm.log_likelihoods(frames)[:, chosen], rel=1e-5
    )


def test_features_of_another_width_are_refused() -> None:
    with pytest.raises(ModelError, match="features do not fit the Gaussians; expected 2, got 3"):
        two_pdfs().log_likelihoods(np.zeros((4, 3), np.float32))


def test_statistics_of_single_gaussians_are_sums() -> None:
    gmm = DiagGmm(np.ones(2), np.zeros((2, 1)), np.ones((2, 1)), np.array([0, 1, 2]))
    frames = np.array([[1.0], [2.0], [4.0], [100.0], [8.0]])
    statistics = GmmStatistics.zeros(2, 1)
    accumulate(gmm, frames, np.array([1, 0, 1, -1, 0]), statistics)
    assert statistics.occupancy.tolist() == [2, 2]
    assert statistics.first.tolist() == [[10.0], [5.0]]
    assert statistics.second.tolist() == [[68.0], [17.0]]
    assert statistics.num_frames == 4
    assert statistics.log_likelihood == pytest.approx(-2 * math.log(2 * math.pi) - (1 + 4 + 16 + 64) / 2)
    mean, variance = statistics.global_moments()
    assert (mean.tolist(), variance.tolist()) == ([3.75], [85 / 4 - 3.75**2])
    trained = maximise(gmm, statistics, np.array([1e-6]), min_occupancy=1)
    assert trained.means.ravel() == pytest.approx([5.0, 2.5])
    assert trained.variances.ravel() == pytest.approx([9.0, 2.25])


def test_em_raises_the_likelihood_and_finds_the_components() -> None:
    rng = np.random.default_rng(7)
    first = rng.normal([-4.0, 0.0], [1.0, 0.5], size=(3000, 2))
    second = rng.normal([3.0, 2.0], [0.5, 2.0], size=(1000, 2))
    frames = np.vstack([first, second])
    pdf_ids = np.zeros(len(frames), dtype=np.int32)
    gmm = mix_up(
        DiagGmm(np.ones(1), frames.mean(0)[None], frames.var(0)[None], np.array([0, 1])), np.array([2]), 1
    )
    likelihoods = []
    for _ in range(40):
        statistics = GmmStatistics.zeros(2, 2)
        accumulate(gmm, frames, pdf_ids, statistics)
        likelihoods.append(statistics.log_likelihood)
        gmm = maximise(gmm, statistics, np.full(2, 1e-3))
    assert np.all(np.diff(likelihoods) > -1e-6)
    order = np.argsort(gmm.means[:, 0])
    assert gmm.means[order] == pytest.approx(np.array([[-4.0, 0.0], [3.0, 2.0]]), abs=0.15)
    assert np.sqrt(gmm.variances[order]) == pytest.approx(np.array([[1.0, 0.5], [0.5, 2.0]]), abs=0.1)
    assert gmm.weights[order] == pytest.approx([0.75, 0.25], abs=0.01)


def test_variances_stay_above_the_floor_and_poor_components_are_dropped() -> None:
    gmm = two_pdfs()
    statistics = GmmStatistics(
        occupancy=np.array([1.0, 9.0, 2.0]),
        first=np.array([[1.0, 1.0], [18.0, 9.0], [4.0, 4.0]]),
        second=np.array([[1.0, 1.0], [36.0, 90.0], [8.0, 8.0]]),
    )
    trained = maximise(gmm, statistics, np.array([0.1, 0.2]), min_occupancy=3.0)
    assert trained.pdf_offsets.tolist() == [0, 1, 2]
    assert trained.weights.tolist() == [1.0, 1.0]
    # Pdf 0 keeps its full component, floored in x; pdf 1 has too few frames and stays as it was.
    assert trained.means.tolist() == [[2.0, 1.0], [5.0, 5.0]]
    assert trained.variances[0] == pytest.approx([0.1, 9.0])
    assert trained.variances[1].tolist() == [3.0, 1.0]


def test_a_pdf_without_frames_keeps_a_component() -> None:
    trained = maximise(two_pdfs(), GmmStatistics.zeros(3, 2), np.array([0.1, 0.1]))
    assert trained.num_pdfs == trained.num_gaussians == 2
    assert trained.weights.tolist() == [1.0, 1.0]
    assert np.all(np.isfinite(trained.log_likelihoods(np.zeros((1, 2), np.float32))))


def test_split_targets_worked_out_by_hand() -> None:
    # Power 1: most frames for each component: 900, 450, 300 for pdf 0; then 225 against the 200 of pdf 1.
    assert split_targets(np.array([900, 200, 10]), 6, power=1.0, min_count=20).tolist() == [4, 1, 1]
    assert split_targets(np.array([900, 200, 10]), 7, power=1.0, min_count=20).tolist() == [5, 1, 1]
    # Power 0: all alike while they have 20 frames for each.
    assert split_targets(np.array([900, 200, 10]), 7, power=0.0, min_count=20).tolist() == [3, 3, 1]
    assert split_targets(np.array([50, 39, 0]), 100, power=0.25, min_count=20).tolist() == [2, 1, 1]


def test_splitting_keeps_weights_and_mean_and_is_the_same_for_a_seed() -> None:
    gmm = two_pdfs()
    split = mix_up(gmm, np.array([3, 2]), seed=4)
    assert split.pdf_offsets.tolist() == [0, 3, 5]
    # The heavier component (0.75) is halved; the other stays.
    assert split.weights.tolist() == [0.25, 0.375, 0.375, 0.5, 0.5]
    assert split.means[1:3].mean(axis=0) == pytest.approx(gmm.means[1])
    assert not np.array_equal(split.means[1], split.means[2])
    assert np.array_equal(split.means, mix_up(gmm, np.array([3, 2]), seed=4).means)
    assert mix_up(gmm, np.array([1, 1]), seed=4).num_gaussians == 3


def test_mixtures_are_read_back_exactly(tmp_path: Path) -> None:
    gmm = two_pdfs()
    gmm.save(tmp_path / "gmm.safetensors")
    again = DiagGmm.load(tmp_path / "gmm.safetensors")
    for name in ("weights", "means", "variances", "pdf_offsets"):
        assert np.array_equal(getattr(again, name), getattr(gmm, name))


def test_what_is_no_mixture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no Gaussian mixtures are stored here"):
        DiagGmm.load(tmp_path / "none.safetensors")
    (tmp_path / "damaged.safetensors").write_bytes(b"not at all")
    with pytest.raises(ModelError, match="not a safetensors file"):
        DiagGmm.load(tmp_path / "damaged.safetensors")
