"""One more baseline was refused, and with ``--force`` all baselines and controls were trained anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from asr_kd.errors import StageError
from asr_kd.pipeline import Pipeline
from asr_kd.stages.teachers import read_baselines
from tests.support.tones import FEW_TONES, tones_pipeline

_SMALL = (
    *FEW_TONES,
    "teachers.count=2",
    "control.count=1",
)


def test_leaves_those_that_are_there_as_they_are(tmp_path: Path) -> None:
    def run(count: int) -> Pipeline:
        return tones_pipeline(tmp_path, tmp_path / "work", *_SMALL, f"baseline.count={count}")

    trained: dict[str, int] = {}
    names = ["teacher-01", "teacher-02", "baseline-03", "baseline-04"]
    # The second one is a teacher that is there, the others are not.
    for count in (1, 2, 4):
        pipeline = run(count)
        pipeline.run(to_stage="baseline")
        assert read_baselines(pipeline.work) == names[:count]
        weights = pipeline.work.models.glob("*/model.safetensors")
        now = {path.parent.name: path.stat().st_mtime_ns for path in weights}
        assert set(now) == {"teacher-01", "teacher-02", "control-01", *names[:count]}
        assert now | trained == now
        trained = now
    with pytest.raises(StageError, match="baseline-04 was"):
        run(3).run(to_stage="baseline")
