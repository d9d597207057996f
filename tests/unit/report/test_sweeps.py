"""Points of sweeps: gathered over several runs, read back, grouped and drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from asr_kd.errors import StageError
from asr_kd.report import plots
from asr_kd.report.page import report_page
from asr_kd.report.sweeps import (
    SWEEP_FILE,
    SweptPoint,
    gathered,
    point_label,
    read_points,
    sweeps_of,
    write_points,
)


def point(accuracy: float, overrides: tuple[str, ...] = (), **settings: Any) -> SweptPoint:
    named = {f"student.{name}": value for name, value in settings.items()}
    frames = {"baseline": (0.5, 0.52), "ensemble": (0.55,), "student": (accuracy, accuracy + 0.02)}
    return SweptPoint(settings=named, overrides=overrides, frame_accuracy=frames, wer={"student": (0.2,)})


POINTS = [
    point(0.53, hard_weight=0.0),
    point(0.54, hard_weight=0.5),
    point(0.51, temperature=1, hard_weight=0.0),
    point(0.56, ("views.count=2",), hard_weight=0.5),
]


def test_later_points_stand_in_the_place_of_earlier_ones_with_the_same_settings(tmp_path: Path) -> None:
    assert read_points(tmp_path / SWEEP_FILE) == []
    write_points(tmp_path / SWEEP_FILE, POINTS)
    assert read_points(tmp_path / SWEEP_FILE) == POINTS
    again = point(0.9, hard_weight=0.5)
    assert gathered(POINTS, [again]) == [POINTS[0], again, *POINTS[2:]]


def test_points_of_one_sweep_have_the_same_settings_and_overrides() -> None:
    found = [(sweep.axes, sweep.overrides, len(sweep.points)) for sweep in sweeps_of(POINTS)]
    assert found == [
        (("student.hard_weight",), (), 2),
        (("student.temperature", "student.hard_weight"), (), 1),
        (("student.hard_weight",), ("views.count=2",), 1),
    ]


def test_labels() -> None:
    assert point_label(POINTS[1]) == "0.5"
    assert point_label(POINTS[2]) == "temperature 1, hard_weight 0.0"
    assert point_label(point(0.5, model={"units": 64, "dropout": 0.1})) == "{units: 64, dropout: 0.1}"


def test_a_file_of_another_form_is_refused(tmp_path: Path) -> None:
    (tmp_path / SWEEP_FILE).write_text('[{"settings": {}}]')
    with pytest.raises(StageError, match=r"sweep\.json: not the points of sweeps: 0\.frame_accuracy"):
        read_points(tmp_path / SWEEP_FILE)


def test_means_stand_in_the_plot_and_the_sweeps_in_the_page(run: Any) -> None:
    sweeps = sweeps_of(POINTS)
    frames, words = plots.swept(sweeps[0]).axes
    means = {each.get_label(): each.lines[0].get_xdata().tolist() for each in frames.containers}
    assert means["baseline"] == pytest.approx([51.0, 51.0])
    assert means["student"] == pytest.approx([54.0, 55.0])
    assert [text.get_text() for text in frames.get_yticklabels()] == ["0.0", "0.5"]
    assert [each.get_label() for each in words.containers] == ["student"]
    page = report_page(run.results, run.words, run.speakers, sweeps=sweeps)
    assert "Sweep of student.temperature, student.hard_weight, dev" in page
    assert "All with views.count=2." in page
    assert "Sweep of" not in report_page(run.results, run.words, run.speakers)
