"""The peak memory under a table was that of the command that scored, though an earlier one had trained."""

from __future__ import annotations

import json
from pathlib import Path

from asr_kd.stages.base import WorkDir
from asr_kd.stages.provenance import describe_run, peak_memory_bytes, with_run_facts
from tests.support.tones import tones_pipeline

MUCH = 2**50


def _mark(work: WorkDir, stage: str, **facts: int) -> None:
    work.markers.mkdir(parents=True, exist_ok=True)
    marker = {"stage": stage, "seconds": 1.0, "finished": "2026-01-01T00:00:00", "outputs": [], **facts}
    (work.markers / f"{stage}.json").write_text(json.dumps(marker))


def test_is_that_of_the_largest_stage(tmp_path: Path) -> None:
    work = WorkDir(tmp_path)
    _mark(work, "prepare")  # of a run from before
    _mark(work, "student", peak_memory_bytes=MUCH)
    facts = with_run_facts(describe_run("mine", "default", ["asr-kd"]), work, {})
    assert facts.peak_memory_bytes == MUCH


def test_each_stage_keeps_its_own(tmp_path: Path) -> None:
    work = WorkDir(tmp_path / "work")
    tones_pipeline(tmp_path / "recipe", work.root).run(to_stage="prepare")
    marker = json.loads((work.markers / "prepare.json").read_text())
    assert 0 < marker["peak_memory_bytes"] <= peak_memory_bytes()
