"""A decode stage that was stopped, or of another student in a sweep, decoded every system once more."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from asr_kd.pipeline import Pipeline
from asr_kd.sweep import forget_stale
from tests.support.tones import tones_pipeline

SMALL = ("corpus.options.utterances=6", "train.epochs=2", "student.train.epochs=2", "control.count=0")


def _pipeline(work: Path, *overrides: str) -> Pipeline:
    return tones_pipeline(work.parent / "recipe", work, *SMALL, *overrides)


def _written(work: Path) -> dict[str, int]:
    """Return when each system was decoded, and each kind of system tuned."""
    files = [*(work / "decode").glob("*/system.json"), *(work / "decode").glob("tuning-*.json")]
    return {str(path.relative_to(work / "decode")): path.stat().st_mtime_ns for path in files}


def _changed(work: Path, before: dict[str, int]) -> set[str]:
    return {name for name, written in _written(work).items() if before.get(name) != written}


@pytest.fixture(scope="module")
def decoded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    work = tmp_path_factory.mktemp("decoded") / "work"
    _pipeline(work).run()
    return work


@pytest.fixture
def work(decoded: Path, tmp_path: Path) -> Path:
    shutil.copytree(decoded, tmp_path / "work")
    return tmp_path / "work"


def test_a_stopped_stage_goes_on_with_the_next_system(work: Path) -> None:
    before = _written(work)
    results = (work / "results.json").read_text()
    (work / "stages" / "decode.json").unlink()
    shutil.rmtree(work / "decode" / "student-01")
    _pipeline(work).run(to_stage="decode")
    assert _changed(work, before) == {"student-01/system.json"}
    assert (work / "decode" / "student-01" / "test.txt").is_file()
    assert (work / "results.json").read_text() == results


def test_another_student_leaves_the_others_as_they_are(work: Path) -> None:
    before = _written(work)
    pipeline = _pipeline(work, "student.hard_weight=0.25", "decode.splits=[dev]")
    forget_stale(pipeline)
    pipeline.run(to_stage="decode")
    assert _changed(work, before) == {"student-01/system.json", "tuning-student.json"}


def test_another_beam_decodes_all(work: Path) -> None:
    before = _written(work)
    pipeline = _pipeline(work, "decode.beam=11")
    forget_stale(pipeline)
    pipeline.run(to_stage="decode")
    assert _changed(work, before) == set(before)


def test_force_decodes_all(work: Path) -> None:
    before = _written(work)
    _pipeline(work).run(from_stage="decode", to_stage="decode", force=True)
    assert _changed(work, before) == set(before)
