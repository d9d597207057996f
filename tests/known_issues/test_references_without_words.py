"""An utterance in which nobody spoke stopped ``score``, whether its reference was empty or left out."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from asr_kd.cli.app import app
from asr_kd.errors import ScoringError
from asr_kd.report.page import report_page
from asr_kd.report.results import Provenance, Results
from asr_kd.score.significance import (
    Bootstrap,
    RateCounts,
    difference,
    error_counts,
    gain_kept,
    mean_counts,
    rate_interval,
)
from asr_kd.score.wer import WerResult, alignment_text, score, score_by_group, worst_first

PROVENANCE = Provenance(recipe="r", profile="default", command="asr-kd run r", machine="a test")


@pytest.fixture(autouse=True)
def strict() -> Iterator[None]:
    """Take a division by zero for an error."""
    with warnings.catch_warnings(), np.errstate(all="raise"):
        warnings.simplefilter("error")
        yield


def _scored() -> WerResult:
    # By hand: 4 words said; c substituted, and "oh no" and "uh" inserted where nobody spoke.
    references = {"u1": "a b c", "u2": "", "u3": " ", "u4": "", "u5": "d"}
    return score(references, {"u1": "a b x", "u2": "oh no", "u3": "uh", "u4": "", "u5": "d"})


def test_count_by_their_insertions() -> None:
    result = _scored()
    assert (result.substitutions, result.deletions, result.insertions) == (1, 0, 3)
    assert (result.num_errors, result.num_reference_words, result.wer) == (4, 4, 1.0)
    assert [utt.utt_id for utt in worst_first(result)] == ["u2", "u3", "u1", "u4", "u5"]
    assert [utt.wer for utt in result.utterances] == [pytest.approx(1 / 3), np.inf, np.inf, 0.0, 0.0]
    assert alignment_text(result.utterances[1]) == "REF: *** ***\nHYP: oh  no\nOPS: I   I"
    assert alignment_text(result.utterances[3]) == "REF:\nHYP:\nOPS:"
    groups = score_by_group(result, {"u1": "x", "u2": "y", "u3": "y", "u4": "z", "u5": "x"})
    assert [groups[name].wer for name in "xyz"] == [0.25, np.inf, 0.0]


def test_are_scored_on_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "ref.txt").write_text("u1 a b c\nu2\nu3\n")
    (tmp_path / "hyp.txt").write_text("u1 a b x\nu2 oh no\n")
    arguments = ["score", str(tmp_path / "ref.txt"), str(tmp_path / "hyp.txt"), "--missing-as-empty"]
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "u2: 2 errors in 0 words" in done.stdout
    assert "%WER 100.0 [ 3 / 3, 2 ins, 0 del, 1 sub ] hyp.txt" in done.stdout


def test_alone_are_refused() -> None:
    with pytest.raises(ScoringError, match="2 references hold no word; expected at least one"):
        score({"u1": "", "u2": " "}, {"u1": "a", "u2": ""})


def _counts(errors: list[float], words: list[float]) -> RateCounts:
    utt_ids = tuple(f"u{number:02}" for number in range(len(words)))
    return RateCounts(utt_ids, np.array(errors), np.array(words), higher_is_better=False)


@pytest.mark.parametrize("num_silent", [1, 40])
def test_leave_out_resamples_without_a_word(num_silent: int) -> None:
    words = [4.0] * 6 + [0.0] * num_silent
    baseline, ensemble = (
        _counts([each] * 6 + [each] + [0.0] * (num_silent - 1), words) for each in (3.0, 1.0)
    )
    interval, change = rate_interval(baseline), difference(baseline, ensemble)
    assert interval is not None
    assert 0.75 <= interval.low < 21 / 24 < interval.high < np.inf
    assert change.low is not None
    assert change.told == 1
    kept = gain_kept(baseline, ensemble, mean_counts([baseline, ensemble]))
    assert kept.value == pytest.approx(0.5)
    assert kept.low is not None
    assert np.isfinite([kept.low, kept.high]).all()


def test_are_no_evidence_for_an_interval() -> None:
    # One utterance of ten has words: of a third of the resamples, and of any interval, nothing is known.
    first, second = (_counts([each] * 10, [5.0] + [0.0] * 9) for each in (2.0, 1.0))
    assert rate_interval(first) is None
    change = difference(first, second)
    assert (change.mean, change.low, change.p_value) == (pytest.approx(2.0), None, None)
    by_speaker = Bootstrap(speakers={utt_id: utt_id for utt_id in first.utt_ids})
    assert rate_interval(first, by_speaker) is None
    assert not gain_kept(first, second, second, by_speaker).meaningful


def test_are_on_the_page() -> None:
    speakers = {f"u{number}": "ann" if number in {1, 5} else "bob" for number in range(1, 6)}
    page = report_page(Results(provenance=PROVENANCE, rows=()), {"student": _scored()}, speakers)
    assert "no word was said [ 2 / 0, 2 ins, 0 del, 0 sub ]" in page
    assert "33 % [ 1 / 3, 0 ins, 0 del, 1 sub ]" in page
    assert "inf" not in page
    assert error_counts(_scored()).rate == 1.0
