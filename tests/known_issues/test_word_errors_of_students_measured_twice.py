"""A sweep repeated up to the students dropped WERs, for their frame accuracy is another one in decoding."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from asr_kd.pipeline import Pipeline
from asr_kd.report.sweeps import SWEEP_FILE, SweptPoint, gathered, read_points
from asr_kd.stages.base import WorkDir
from asr_kd.stages.nets import NetConfig
from asr_kd.stages.student import StudentStage
from asr_kd.stages.student_loss import StudentConfig
from asr_kd.sweep import parse_grid, run_sweep
from tests.support.nothing_decoded import NothingDecoded


def _point(frames: float, wer: float | None, *students: str) -> SweptPoint:
    return SweptPoint(
        settings={"a.b": 1},
        recipe="recipe",
        students=students,
        frame_accuracy={"student": (frames,)},
        wer={} if wer is None else {"student": (wer,)},
    )


def test_are_kept_while_the_weights_are_the_same() -> None:
    decoded = _point(0.5625, 0.3, "one", "two")
    assert gathered([decoded], [_point(0.5624, None, "one", "two")]) == [decoded]
    assert gathered([decoded], [_point(0.5624, 0.2, "one", "two")]) == [_point(0.5624, 0.2, "one", "two")]


def test_are_dropped_with_other_weights_of_the_same_accuracy() -> None:
    other = _point(0.5625, None, "one", "three")
    assert gathered([_point(0.5625, 0.3, "one", "two")], [other]) == [other]


class _Student(StudentStage):
    """Writes weights without any training."""

    needs = ()

    def run(self, work: WorkDir) -> dict[str, Any]:
        for folder in self.outputs(work):
            folder.mkdir(parents=True)
            (folder / "model.safetensors").write_bytes(folder.name.encode())
        return {}


def test_a_point_tells_its_students_by_their_weights(tmp_path: Path) -> None:
    def open_point(point: Sequence[str], place: Path) -> Pipeline:
        return Pipeline([_Student(StudentConfig(count=2), NetConfig()), NothingDecoded()], WorkDir(place))

    run_sweep(parse_grid(["a.b=1"]), open_point, tmp_path / "work", tmp_path)
    (point,) = read_points(tmp_path / SWEEP_FILE)
    assert point.students == tuple(
        hashlib.sha256(name).hexdigest() for name in (b"student-01", b"student-02")
    )
