"""The table of errors beside the paper's, on the terminal and as a page."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from asr_kd.errors import StageError
from asr_kd.report.error_results import (
    ErrorResults,
    ErrorRow,
    print_error_results,
    read_error_results,
    row_texts,
    write_error_results,
)
from asr_kd.report.results import Provenance

ROWS = (
    ErrorRow(system="teacher", seeds=(1, 2, 3), errors=(64, 66, 71), paper=67),
    ErrorRow(
        system="without-3",
        seeds=(101,),
        errors=(206,),
        temperature=20.0,
        errors_on_missing=(133,),
        corrected=(109,),
        corrected_on_missing=(14,),
        bias=(3.5,),
        corrected_classes=(3,),
        paper=206,
        paper_corrected=109,
    ),
)
RESULTS = ErrorResults(
    provenance=Provenance(
        recipe="mnist",
        profile="default",
        command="asr-kd run mnist",
        commit="abc1234",
        machine="two cores",
        stage_seconds={"teachers": 60.0, "score": 7.0},
    ),
    split="test",
    num_images=10_000,
    rows=ROWS,
    notes=("A note.",),
)


def test_cells_show_mean_and_standard_deviation() -> None:
    # Mean 67; deviations -3, -1, 4: variance 26 / 2.
    assert row_texts(ROWS[0]) == ["teacher", "-", "67.0 ±3.6", "67", "-", "-", "-", "1, 2, 3"]
    assert row_texts(ROWS[1]) == ["without-3", "20", "206", "206", "109", "109", "133 -> 14", "101"]


def test_terminal_and_page_hold_the_same_rows(tmp_path: Path) -> None:
    stream = io.StringIO()
    print_error_results(RESULTS, Console(file=stream, width=120))
    assert "mnist, profile default, errors of 10,000 (test)" in stream.getvalue()
    assert "67.0 ±3.6" in stream.getvalue()
    assert stream.getvalue().rstrip().endswith("A note.")
    write_error_results(tmp_path, RESULTS, "results.json", "RESULTS.md")
    page = (tmp_path / "RESULTS.md").read_text()
    assert "| without-3 | 20 | 206 | 206 | 109 | 109 | 133 -> 14 | 101 |" in page
    assert "```\nasr-kd run mnist\n```" in page
    assert "commit abc1234; machine two cores; time 1:07." in page


def test_results_are_read_back_and_others_refused(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    with pytest.raises(StageError, match="no results here"):
        read_error_results(path)
    write_error_results(tmp_path, RESULTS, path.name, "RESULTS.md")
    assert read_error_results(path) == RESULTS
    with pytest.raises(StageError, match="no result of plain; expected teacher, without-3"):
        RESULTS.row("plain")
    path.write_text(path.read_text().replace('"errors"', '"mistakes"', 1))
    with pytest.raises(StageError, match=r"rows\.0\..*run the score stage again"):
        read_error_results(path)
