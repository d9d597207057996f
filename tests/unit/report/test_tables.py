"""What stands on the terminal and in RESULTS.md."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from asr_kd.report.cells import findings, notes, row_cells, seed_list
from asr_kd.report.results import Measure, Results
from asr_kd.report.tables import print_results, results_markdown, summary_line
from asr_kd.score.significance import Difference, GainKept, Interval

LAST_LINE = "%WER 4.5 [ 45 / 1000, 0 ins, 0 del, 45 sub ] student test"


def _printed(results: Results, width: int, terminal: bool) -> str:
    stream = io.StringIO()
    print_results(results, Console(file=stream, width=width, force_terminal=terminal, color_system=None))
    return stream.getvalue()


def _with_student(results: Results, **update: Any) -> Results:
    *others, student = results.rows
    return results.model_copy(update={"rows": (*others, student.model_copy(update=update))})


def test_summary_line(run: Any) -> None:
    assert summary_line(run.results) == LAST_LINE
    # Three seeds: 180 errors in 3 x 1000 words.
    assert summary_line(run.results, "baseline").startswith("%WER 6.0 [ 180 / 3000, ")


@pytest.mark.parametrize(("width", "terminal"), [(80, False), (80, True), (160, True)])
def test_terminal_table_holds_every_number_whole(run: Any, width: int, terminal: bool) -> None:
    printed = _printed(run.results, width, terminal)
    table = printed.split("[ ]")[0]
    for text in ("58.9 ±1.00", "6.0 ±1.00", "61.1", "60.8", "4.5", "60/0/0", "of 1,000", "86 %", "75 %"):
        assert text in table
    for text in ("1.2 M", "3.6 M", "0.034", "mean of 3", "3 nets", "[60.8, 60.8]"):
        assert text in table
    assert printed.splitlines()[-1] == LAST_LINE
    if terminal:
        assert max(len(line) for line in table.splitlines()) <= width


def test_last_line_is_whole_on_any_terminal(run: Any) -> None:
    assert _printed(run.results, 40, terminal=True).splitlines()[-1] == LAST_LINE


def test_markdown_holds_numbers_and_provenance(run: Any) -> None:
    text = results_markdown(run.results)
    student = next(line for line in text.splitlines() if line.startswith("| student"))
    cells = [cell.strip() for cell in student.strip("|").split("|")]
    assert cells[1].startswith("60.8 [")
    assert cells[2].startswith("4.5 [")
    assert cells[3] == "45/0/0 of 1,000"
    assert cells[4] == "86 % [86, 86]"
    assert cells[-2:] == ["7", "0123456789"]
    for text_needed in ("asr-kd run quickstart --profile smoke", "machine 2 cores, 8 GiB", "date 2026-11-24"):
        assert text_needed in text
    assert "time 1:02:02" in text
    assert "peak memory of a process 1.50 GiB" in text
    assert len(text.splitlines()) <= 40


def test_markdown_of_two_profiles_and_special_characters(run: Any) -> None:
    odd = run.results.provenance.model_copy(update={"profile": "a|b", "machine": "<x> `y`"})
    text = results_markdown(run.results, run.results.model_copy(update={"provenance": odd}))
    assert text.count("## ") == 2
    assert r"a\|b" in text
    assert r"machine \<x\> \`y\`" in text


def test_gain_that_means_nothing_is_not_printed(run: Any) -> None:
    gain = GainKept(Difference(0.001, -0.002, 0.004, 0.6), Difference(-0.003, -0.006, -0.001, 0.01))
    results = _with_student(run.results, wer_gain=gain)
    assert row_cells(results.rows[-1])[5].main == "n/m"
    finding = findings(results)[1]
    assert finding == (
        "student test, WER: worse than the baseline, a gain of -0.30 points [-0.60, -0.10], p = 0.01; "
        "share of the ensemble's gain not meaningful (n/m): that gain, 0.10 points [-0.20, 0.40], "
        "cannot be told from none"
    )
    assert "n/m" in results_markdown(results)


def test_findings_say_what_the_numbers_allow(run: Any) -> None:
    assert findings(run.results)[0].startswith("student test, frame accuracy: better than the baseline")
    assert "keeps 86.4 %" in findings(run.results)[0]
    own = Difference(0.001, -0.002, 0.004, 0.6)
    level = GainKept(Difference(0.02, 0.01, 0.03, 0.001), own, 0.05, -0.1, 0.2)
    assert "cannot be told from the baseline" in findings(_with_student(run.results, wer_gain=level))[1]


def test_small_rates_keep_two_decimals_and_missing_ones_a_dash(run: Any) -> None:
    measure = Measure(mean=0.0042, interval=Interval(0.0, 0.0152, 0.95, "words"))
    results = _with_student(run.results, wer=measure, frame_accuracy=None, real_time_factor=None)
    cells = row_cells(results.rows[-1])
    assert (cells[2].main, cells[2].detail) == ("0.42", "[0.00, 1.52]")
    assert cells[1].main == cells[7].main == "-"
    assert "exact binomial" in notes(results)[-1]


def test_seed_list() -> None:
    assert [seed_list(seeds) for seeds in ((0, 1, 2), (3, 5), (4,), ())] == ["0-2", "3, 5", "4", "-"]
