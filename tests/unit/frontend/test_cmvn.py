"""Mean and variance normalisation against hand-worked values."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asr_kd.errors import FrontendError
from asr_kd.frontend.base import load_frontend
from asr_kd.frontend.cmvn import Cmvn, CmvnStats


def _frames(*rows: list[float]) -> np.ndarray:
    return np.array(rows, dtype=np.float32)


def test_statistics_of_hand_worked_frames() -> None:
    stats = CmvnStats.of(_frames([1, 10], [3, 10]))
    assert (stats.count, stats.sum.tolist(), stats.sum_squares.tolist()) == (2, [4, 20], [10, 200])
    assert (stats.mean.tolist(), stats.variance.tolist()) == ([2, 10], [1, 0])


def test_utterance_is_brought_to_mean_0_and_variance_1() -> None:
    # Mean 3, variance ((-2)^2 + 0 + 2^2) / 3 = 8/3; 2 / sqrt(8/3) = 1.2247.
    normalised = Cmvn("utterance").apply(_frames([1], [3], [5]))
    np.testing.assert_allclose(normalised[:, 0], [-math.sqrt(1.5), 0, math.sqrt(1.5)], rtol=1e-6)
    assert normalised.dtype == np.float32


def test_mean_alone() -> None:
    assert Cmvn("utterance", norm_vars=False).apply(_frames([1], [3], [5])).tolist() == [[-2], [0], [2]]


def test_speaker_statistics_span_the_speakers_utterances_and_no_others() -> None:
    cmvn = Cmvn("speaker")
    cmvn.accumulate(_frames([0, 1], [0, 1]), "a")
    cmvn.accumulate(_frames([4, 1], [4, 1]), "a")
    cmvn.accumulate(_frames([100, 1]), "b")
    # Speaker a: mean 2, variance 4.
    assert cmvn.apply(_frames([6, 1]), "a").tolist() == [[2, 0]]
    assert cmvn.apply(_frames([100, 1]), "b").tolist() == [[0, 0]]
    assert {name: stats.count for name, stats in cmvn.speakers.items()} == {"a": 4, "b": 1}


def test_mode_none_leaves_features_as_they_are() -> None:
    features = _frames([1, 2])
    cmvn = Cmvn("none")
    cmvn.accumulate(features, "a")
    assert cmvn.apply(features) is features
    assert not cmvn.speakers


def test_features_given_are_not_changed() -> None:
    features = _frames([1], [2])
    Cmvn("utterance").apply(features)
    assert features.tolist() == [[1], [2]]


@pytest.mark.parametrize("mode", ["utterance", "speaker"])
@pytest.mark.parametrize("name", ["fbank", "mfcc", "librosa_logmel"])
def test_digital_silence_becomes_0_and_not_nan(mode: Any, name: str) -> None:
    features = load_frontend(name).extract(np.zeros(16_000, np.float32), 16000)
    cmvn = Cmvn(mode)
    cmvn.accumulate(features, "a")
    normalised = cmvn.apply(features, "a")
    np.testing.assert_allclose(normalised, 0, atol=1e-3)


@pytest.mark.parametrize("num_frames", [0, 1])
def test_utterances_of_no_and_one_frame(num_frames: int) -> None:
    features = np.full((num_frames, 3), -15.94, np.float32)
    assert Cmvn("utterance").apply(features).tolist() == [[0, 0, 0]] * num_frames


def test_the_floor_bounds_what_a_tiny_variance_is_blown_up_to() -> None:
    # Variance 1e-6; with a floor of 1 the deviation of 1e-3 stays what it is.
    normalised = Cmvn("utterance", variance_floor=1.0).apply(_frames([0.001], [-0.001]))
    np.testing.assert_allclose(normalised[:, 0], [0.001, -0.001], rtol=1e-6)


def test_a_large_mean_costs_no_digits() -> None:
    rng = np.random.default_rng(0)
    features = (1000 + 0.01 * rng.standard_normal((5000, 1))).astype(np.float32)
    normalised = Cmvn("utterance").apply(features).astype(np.float64)
    np.testing.assert_allclose([normalised.mean(), normalised.std()], [0, 1], atol=1e-3)


def test_statistics_of_parts_add_up_to_those_of_the_whole() -> None:
    features = np.random.default_rng(0).standard_normal((50, 4)).astype(np.float32)
    whole, parts = Cmvn(), Cmvn()
    whole.accumulate(features, "a")
    for part in (features[:20], features[20:20], features[20:]):
        parts.add_stats("a", CmvnStats.of(part))
    np.testing.assert_allclose(parts.apply(features, "a"), whole.apply(features, "a"), atol=1e-6)


def test_statistics_given_are_not_tied_to_those_kept() -> None:
    cmvn, stats = Cmvn(), CmvnStats.of(_frames([1]))
    cmvn.add_stats("a", stats)
    cmvn.accumulate(_frames([3]), "a")
    assert (stats.count, stats.sum.tolist()) == (1, [1])


def test_statistics_come_back_from_a_file_bit_for_bit(tmp_path: Path) -> None:
    features = np.random.default_rng(0).standard_normal((7, 3)).astype(np.float32)
    cmvn = Cmvn("speaker", norm_vars=False, variance_floor=0.5)
    cmvn.accumulate(features, "spräker 1")
    cmvn.save(tmp_path / "cmvn.json")
    back = Cmvn.load(tmp_path / "cmvn.json")
    assert (back.mode, back.norm_vars, back.variance_floor) == ("speaker", False, 0.5)
    assert np.array_equal(back.apply(features, "spräker 1"), cmvn.apply(features, "spräker 1"))
    assert back.to_json() == cmvn.to_json()
    assert back.fingerprint == cmvn.fingerprint


def test_fingerprint_follows_the_settings() -> None:
    variants = [Cmvn(), Cmvn("utterance"), Cmvn(norm_vars=False), Cmvn(variance_floor=0.1)]
    assert len({cmvn.fingerprint for cmvn in variants}) == 4


def test_unknown_speaker_is_named() -> None:
    cmvn = Cmvn("speaker")
    cmvn.accumulate(_frames([1]), "a")
    for speaker in ("b", None):
        with pytest.raises(FrontendError, match=f'speaker "{speaker}": no cmvn statistics of this speaker'):
            cmvn.apply(_frames([1]), speaker)


def test_another_width_is_refused() -> None:
    cmvn = Cmvn("speaker")
    cmvn.accumulate(_frames([1, 2]), "a")
    with pytest.raises(FrontendError, match=r'speaker "a": .*expected dim 2, got dim 1'):
        cmvn.apply(_frames([1]), "a")
    with pytest.raises(FrontendError, match="expected dim 2, got dim 3"):
        cmvn.accumulate(_frames([1, 2, 3]), "a")


def test_features_that_are_not_finite_do_not_spoil_the_statistics() -> None:
    cmvn = Cmvn("speaker")
    cmvn.accumulate(_frames([1], [3]), "a")
    with pytest.raises(FrontendError, match='speaker "a": features for cmvn are not finite'):
        cmvn.accumulate(_frames([math.nan]), "a")
    assert cmvn.apply(_frames([3]), "a").tolist() == [[1]]


@pytest.mark.parametrize(("mode", "floor"), [("speakers", 1e-8), ("speaker", 0.0), ("speaker", math.nan)])
def test_wrong_settings_are_refused(mode: Any, floor: float) -> None:
    with pytest.raises(FrontendError, match="cmvn"):
        Cmvn(mode, variance_floor=floor)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "{}",
        json.dumps({"mode": "speaker", "norm_vars": True, "variance_floor": 1e-8}),
        json.dumps({"mode": "x", "norm_vars": True, "variance_floor": 1e-8, "speakers": {}}),
        json.dumps(
            {
                "mode": "speaker",
                "norm_vars": True,
                "variance_floor": 1e-8,
                "speakers": {"a": {"count": 1, "sum": [1, 2], "sum_squares": [1]}},
            }
        ),
    ],
)
def test_damaged_files_are_refused_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "cmvn.json"
    path.write_text(text)
    with pytest.raises(FrontendError, match=r"cmvn\.json: not"):
        Cmvn.load(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FrontendError, match=r"cmvn\.json: no cmvn statistics"):
        Cmvn.load(tmp_path / "cmvn.json")
