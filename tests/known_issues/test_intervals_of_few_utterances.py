"""One to three utterances had intervals of no width and p = 0.0002: drawn again, they are always the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from asr_kd.cli.app import app
from asr_kd.report.cells import findings
from asr_kd.report.results import Provenance, ResultRow, Results
from asr_kd.score.significance import MIN_UNITS, Bootstrap, RateCounts, difference, gain_kept, rate_interval

PROVENANCE = Provenance(recipe="r", profile="default", command="asr-kd run r", machine="a test")


def _counts(num_utterances: int, errors: float) -> RateCounts:
    utt_ids = tuple(f"u{number}" for number in range(num_utterances))
    ones = np.ones(num_utterances)
    return RateCounts(utt_ids, errors * ones, 10 * ones, higher_is_better=False)


@pytest.mark.parametrize("num_utterances", [1, 3, MIN_UNITS - 1])
def test_have_none(num_utterances: int) -> None:
    baseline, ensemble = _counts(num_utterances, 3), _counts(num_utterances, 1)
    assert rate_interval(baseline) is None
    change = difference(baseline, ensemble)
    assert (change.mean, change.low, change.p_value, change.told) == (pytest.approx(0.2), None, None, 0)
    kept = gain_kept(baseline, ensemble, ensemble)
    assert not kept.meaningful
    row = ResultRow(system="student", split="test", wer_gain=kept)
    (finding,) = findings(Results(provenance=PROVENANCE, rows=(row,)))
    assert "cannot be told from the baseline, a gain of 20.00 points, too few utterances" in finding


def test_enough_have_one() -> None:
    baseline, ensemble = _counts(MIN_UNITS, 3), _counts(MIN_UNITS, 1)
    assert rate_interval(baseline) is not None
    assert difference(baseline, ensemble).told == 1
    # As a sign test of so many equal signs.
    assert difference(baseline, ensemble).p_value == pytest.approx(2 ** (1 - MIN_UNITS))
    assert gain_kept(baseline, ensemble, ensemble).meaningful


def test_no_error_has_the_binomial_end_of_its_words() -> None:
    interval = rate_interval(_counts(1, 0), Bootstrap())
    assert interval is not None
    assert interval.high == pytest.approx(1 - 0.025 ** (1 / 10))


def test_are_said_on_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "ref.txt").write_text("u1 a b c d e\n")
    (tmp_path / "one.txt").write_text("u1 a b c d x\n")
    (tmp_path / "two.txt").write_text("u1 a b c x x\n")
    files = [str(tmp_path / name) for name in ("one.txt", "two.txt", "ref.txt")]
    compared = CliRunner().invoke(app, ["compare", *files[:2], "--reference", files[2]])
    assert "difference in WER -20.00 points, too few utterances for an interval" in compared.output
    scored = CliRunner().invoke(app, ["score", files[2], files[0]])
    assert "too few" in scored.output
