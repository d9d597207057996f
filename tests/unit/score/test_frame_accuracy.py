"""Frame accuracy counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from asr_kd.errors import ScoringError
from asr_kd.score.frame_accuracy import FrameCounts, count_frames, frame_accuracy


def test_count_frames_by_hand() -> None:
    counts = count_frames(np.array([0, 3, 3, 7]), np.array([0, 3, 2, 7]), "u")
    assert counts == FrameCounts(correct=3, total=4)
    assert counts.accuracy == 0.75


def test_corpus_accuracy_weighs_by_frames() -> None:
    counts = {"long": FrameCounts(90, 100), "short": FrameCounts(0, 10)}
    assert frame_accuracy(counts) == pytest.approx(90 / 110)  # the mean over utterances would be 0.45


def test_what_cannot_be_counted_is_refused() -> None:
    with pytest.raises(ScoringError, match=r"u: model and alignment disagree.*\(3,\).*\(4,\)"):
        count_frames(np.zeros(4), np.zeros(3), "u")
    with pytest.raises(ScoringError, match="no frames"):
        frame_accuracy({"u": FrameCounts(0, 0)})
    with pytest.raises(ScoringError, match="impossible"):
        FrameCounts(3, 2)
