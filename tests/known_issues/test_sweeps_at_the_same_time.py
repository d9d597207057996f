"""Of two sweeps of a recipe at the same time the slower one took the other's points out of ``sweep.json``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

import asr_kd.sweep
from asr_kd.pipeline import Pipeline
from asr_kd.report.sweeps import SWEEP_FILE, SweptPoint, gathered, read_points, write_points
from asr_kd.sweep import parse_grid, run_sweep
from tests.support.tones import tones_pipeline

_OTHER = SweptPoint(settings={"student.hard_weight": 9}, frame_accuracy={"student": (0.5,)}, wer={})


def test_points_that_another_sweep_adds_meanwhile_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "sweep" / SWEEP_FILE

    def run(self: Pipeline, to_stage: str) -> None:
        """Stand for a point's long run, at the end of which another sweep has finished one too."""
        write_points(file, gathered(read_points(file), [_OTHER]))

    monkeypatch.setattr(Pipeline, "run", run)
    monkeypatch.setattr(asr_kd.sweep, "_measured", lambda *_: ({"student": (0.6,)}, {}))
    monkeypatch.setattr(asr_kd.sweep, "_student_models", lambda _: [])

    def open_point(point: Sequence[str], place: Path) -> Pipeline:
        return tones_pipeline(tmp_path / "recipe", place, *point)

    run_sweep(
        parse_grid(["student.hard_weight=1,2"]), open_point, tmp_path / "work", tmp_path / "sweep", "student"
    )

    assert sorted(point.settings["student.hard_weight"] for point in read_points(file)) == [1, 2, 9]
