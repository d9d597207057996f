"""Calibration, with values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from asr_kd.score.calibration import Calibration


def _counted(posteriors: list[float], correct: list[bool], num_bins: int = 4) -> Calibration:
    calibration = Calibration(num_bins)
    calibration.add(np.array(posteriors), np.array(correct))
    return calibration


def test_frames_fall_into_bins_that_are_closed_above() -> None:
    counted = _counted([0.0, 0.25, 0.26, 0.5, 1.0], [True, False, True, True, True])
    assert counted.num_frames.tolist() == [2, 2, 0, 1]
    assert counted.num_correct.tolist() == [1, 2, 0, 1]
    assert counted.confidence.tolist() == pytest.approx([0.25, 0.76, 0.0, 1.0])


def test_expected_error_is_the_mean_distance_of_the_bins_weighted_by_frames() -> None:
    # Two frames at 0.9, one right: |1/2 - 0.9| = 0.4. One at 0.6, right: 0.4. One at 0.3, wrong: 0.3.
    counted = _counted([0.9, 0.9, 0.6, 0.3], [True, False, True, False])
    assert counted.expected_error == pytest.approx((2 * 0.4 + 0.4 + 0.3) / 4)


def test_who_is_as_often_right_as_it_says_has_no_error() -> None:
    assert _counted([0.8] * 5, [True] * 4 + [False]).expected_error == pytest.approx(0)
    assert Calibration().expected_error == 0


def test_sums_of_stored_counts_are_those_of_all_frames() -> None:
    posteriors, correct = [0.1, 0.4, 0.7, 0.95, 0.97], [False, True, True, True, False]
    whole = _counted(posteriors, correct)
    parts = [_counted(posteriors[:2], correct[:2]), _counted(posteriors[2:], correct[2:])]
    summed = Calibration.summed([part.to_json() for part in parts])
    assert summed.num_frames.tolist() == whole.num_frames.tolist()
    assert summed.num_correct.tolist() == whole.num_correct.tolist()
    assert summed.confidence.tolist() == pytest.approx(whole.confidence.tolist())
