"""Counts of a decoded system's frames, with values worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from asr_kd.lang.hmm import HmmTopology, monophone_hmm
from asr_kd.lang.lexicon import Lexicon
from asr_kd.lang.phones import PhoneSet
from asr_kd.score.frame_accuracy import FrameCounts
from asr_kd.stages.base import WorkDir
from asr_kd.stages.frame_tally import (
    FrameTally,
    read_agreement,
    read_calibration,
    read_counts,
    read_phone_confusions,
)
from asr_kd.stages.labels import HMM_FILE, read_hmm


@pytest.fixture
def work(tmp_path: Path) -> WorkDir:
    """Phones SIL, A and B of one state each: pdfs 0, 1 and 2. Two systems' counts of three frames."""
    work = WorkDir(tmp_path)
    hmm = monophone_hmm(PhoneSet.from_lexicon(Lexicon({"a": (("A",),), "b": (("B",),)})), HmmTopology(1, 1))
    work.align.mkdir()
    hmm.save(work.align / HMM_FILE)
    for name, best in (("x", [0.5, 0.6, 0.8]), ("y", [0.5, 0.6, 0.7])):
        tally = FrameTally(hmm)
        # The best senones are A, B, B; a constant of the frame changes nothing.
        rows = [[0.2, best[0], 0.5 - 0.2], [0.1, 0.9 - best[1], best[1]], [0.0, 1 - best[2], best[2]]]
        log_posteriors = np.log(np.array(rows, np.float32) + 1e-9) + np.array([[1.0], [-3.0], [0.0]])
        tally.add("u", log_posteriors.astype(np.float32), np.array([1, 1, 2]))
        (work.decode / name).mkdir(parents=True)
        tally.write(work.decode / name, "test")
    return work


def test_right_frames(work: WorkDir) -> None:
    assert read_counts(work, "x", "test") == {"u": FrameCounts(2, 3)}


def test_confidence_is_the_best_senones_posterior(work: WorkDir) -> None:
    counted = read_calibration(work, ["x", "y"], "test")
    assert counted is not None
    assert counted.num_frames.sum() == 6
    assert counted.confidence.sum() == pytest.approx(0.5 + 0.6 + 0.8 + 0.5 + 0.6 + 0.7, abs=1e-5)


def test_confusions_are_shares_of_all_frames(work: WorkDir) -> None:
    assert read_phone_confusions(work, ["x", "y"], "test") == {("A", "B"): pytest.approx(2 / 6)}


def test_nets_that_are_averaged_are_compared(work: WorkDir) -> None:
    tally = FrameTally(read_hmm(work))
    log_posteriors = np.log(np.array([[0.2, 0.8, 0.0], [0.4, 0.5, 0.1]], np.float32) + 1e-9)
    votes = np.array([[1, 1], [1, 0], [2, 0]])
    tally.add("u", log_posteriors, np.array([1, 1]), votes)
    tally.add("v", log_posteriors, np.array([1, 0]), votes)
    tally.write(work.decode / "x", "dev")
    agreement = read_agreement(work, "x", "dev")
    assert agreement is not None
    assert agreement.same.tolist() == [[4, 2, 0], [2, 4, 2], [0, 2, 4]]
    assert agreement.by_right.tolist() == [0, 1, 3, 0]
    # One net agrees with itself.
    assert read_agreement(work, "x", "test") is None


def test_what_an_older_version_decoded_has_neither(work: WorkDir) -> None:
    (work.decode / "y" / "test-calibration.json").unlink()
    (work.decode / "y" / "test-phones.json").unlink()
    assert read_calibration(work, ["x", "y"], "test") is None
    assert read_phone_confusions(work, ["x", "y"], "test") == {}
