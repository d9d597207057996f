"""A sweep with another dev kept the nets of before, and compared accuracies on different utterances."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from asr_kd.errors import StageError
from asr_kd.pipeline import Pipeline
from asr_kd.sweep import parse_grid, run_sweep
from tests.support.tones import FEW_TONES, tones_pipeline


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A work folder with a corpus of four dev utterances, and what stands for a net that saw them."""
    work = tmp_path / "work"
    tones_pipeline(tmp_path / "recipe", work, *FEW_TONES).run(to_stage="features")
    (work / "models" / "teacher-01").mkdir(parents=True)
    (work / "models" / "teacher-01" / "model.json").write_text("{}", encoding="utf-8")
    return work


def sweep(base: Path, *overrides: str) -> None:
    """Prepare the one point of a sweep."""

    def open_point(point: Sequence[str], place: Path) -> Pipeline:
        return tones_pipeline(base.parent / "recipe", place, *FEW_TONES, *overrides, *point)

    run_sweep(parse_grid(["student.hard_weight=0.5"]), open_point, base, base.parent / "sweep", "prepare")


def swept(base: Path, *overrides: str) -> tuple[int, bool]:
    """Prepare it; return the size of its dev, and whether it has the net."""
    with pytest.raises(StageError, match="run stage decode"):  # there is nothing to measure
        sweep(base, *overrides)
    (place,) = (base.parent / "sweep").glob("[!.]*")
    dev = (place / "corpus" / "dev.jsonl").read_text(encoding="utf-8").splitlines()
    return len(dev), (place / "models" / "teacher-01").exists()


def test_a_folder_with_the_same_dev_is_shared(base: Path) -> None:
    assert swept(base) == (4, True)


def test_a_folder_with_another_dev_is_not_shared(base: Path) -> None:
    assert swept(base, "corpus.limit.dev=2") == (2, False)


def test_a_point_whose_dev_was_changed_is_refused_with_its_nets_kept(base: Path) -> None:
    assert swept(base) == (4, True)
    with pytest.raises(StageError, match="corpus of this point"):
        sweep(base, "corpus.limit.dev=2")
    assert next((base.parent / "sweep").glob("*/models/teacher-01")).is_dir()
