"""The data model: what the rows hold, that files come back the same, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from asr_kd.errors import ScoringError, StageError
from asr_kd.report.results import Measure, Results, TrainingCurve, TuningSurface, read_results, write_results
from asr_kd.report.rows import SystemScores, result_rows
from asr_kd.score.frame_accuracy import FrameCounts
from asr_kd.score.significance import Bootstrap
from asr_kd.score.wer import score


def test_rows_by_hand(run: Any) -> None:
    baseline, ensemble, student = run.results.rows
    assert baseline.wer.mean == pytest.approx(0.06)  # (50 + 60 + 70) / 3 errors in 1000 words
    assert baseline.wer.sd == pytest.approx(0.01)
    assert (baseline.wer.interval.low + baseline.wer.interval.high) / 2 == pytest.approx(0.06, abs=0.003)
    assert (baseline.errors.substitutions, baseline.errors.num_reference_words) == (180, 3000)
    assert baseline.frame_accuracy.mean == pytest.approx(0.589)
    assert baseline.num_runs == 3
    assert (ensemble.wer.sd, ensemble.num_runs, ensemble.wer_gain) == (None, 1, None)
    assert student.frame_accuracy_gain.value == pytest.approx(1.9 / 2.2)
    # The mean baseline makes 60 errors, 20 more than the ensemble and 15 more than the student.
    assert student.wer_gain.value == pytest.approx(0.75)
    assert student.wer_gain.low < 0.75 < student.wer_gain.high
    assert student.wer.interval.low < 0.045 < student.wer.interval.high


def test_rows_without_text_or_alignment() -> None:
    words = score({"u": "a b"}, {"u": "a"})
    systems = [SystemScores(name, (0,), [words]) for name in ("baseline", "ensemble", "student")]
    student = result_rows(systems[0], systems[1], systems[2:], "test", Bootstrap())[2]
    assert (student.frame_accuracy, student.frame_accuracy_gain) == (None, None)
    assert student.wer_gain is not None
    assert not student.wer_gain.meaningful


def test_different_numbers_of_runs_are_refused() -> None:
    words = score({"u": "a b"}, {"u": "a"})
    uneven = SystemScores("baseline", (0, 1), [words, words], [{"u": FrameCounts(1, 2)}])
    with pytest.raises(ScoringError, match="baseline: words and frames"):
        result_rows(uneven, uneven, [], "test", Bootstrap())


def test_json_round_trip(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    write_results(path, run.results)
    assert read_results(path) == run.results
    before = path.read_bytes()
    write_results(path, read_results(path))
    assert path.read_bytes() == before


def test_damaged_files_are_refused_by_field(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    with pytest.raises(StageError, match="no results here"):
        read_results(path)
    write_results(path, run.results)
    path.write_text(path.read_text().replace('"recipe"', '"recipes"'))
    with pytest.raises(StageError, match=r"results.json: 2 faults, the first at provenance.recipe"):
        read_results(path)
    path.write_text("{")
    with pytest.raises(StageError, match=r"results.json: 1 faults"):
        read_results(path)


def test_values_that_could_not_be_read_back_are_refused() -> None:
    with pytest.raises(ValidationError):
        Measure(mean=float("nan"))
    with pytest.raises(ValidationError, match="one value an epoch"):
        TrainingCurve(name="t", system="teacher", epochs=(1, 2), dev_loss=(3.0,))
    with pytest.raises(ValidationError, match="one row a scale"):
        TuningSurface(
            system="s", acoustic_scales=(1.0,), insertion_penalties=(0.0,), wer=(), chosen=(1.0, 0.0)
        )
    with pytest.raises(ValidationError, match="not among those tried"):
        TuningSurface(
            system="s", acoustic_scales=(1.0,), insertion_penalties=(0.0,), wer=((0.1,),), chosen=(2.0, 0.0)
        )


def test_choice_at_the_edge(run: Any) -> None:
    surface = run.results.tuning[0]
    assert surface.at_edge  # 0.1 is the smallest scale
    wide = {"acoustic_scales": (0.05, 0.1, 0.2), "wer": ((0.1, 0.1, 0.1), *surface.wer)}
    assert not TuningSurface.model_validate(surface.model_dump() | wide).at_edge
    alone = {"acoustic_scales": (0.1,), "wer": surface.wer[:1]}
    assert not TuningSurface.model_validate(surface.model_dump() | alone).at_edge


def test_missing_row_names_those_there_are(run: Any) -> None:
    assert Results.row(run.results, "student", "test").seeds == (7,)
    with pytest.raises(StageError, match=r"no result of student on dev; expected one of baseline test"):
        run.results.row("student", "dev")
