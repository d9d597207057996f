"""A run that was refused for its settings left them in ``run.json``, which ``shards plan`` reads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from asr_kd.errors import StageError
from tests.support.tones import FEW_TONES, tones_pipeline


def facts(work: Path) -> tuple[str, int]:
    """Return the recipe's folder and the number of teachers that ``run.json`` tells of."""
    found = json.loads((work / "run.json").read_text(encoding="utf-8"))
    return Path(found["folder"]).name, found["recipe"]["teachers"]["count"]


def test_a_refused_run_leaves_run_json_as_it_is(tmp_path: Path) -> None:
    work = tmp_path / "work"
    tones_pipeline(tmp_path / "recipe", work, *FEW_TONES).run(to_stage="prepare")
    changed = tones_pipeline(tmp_path / "other", work, "corpus.options.utterances=5", "teachers.count=7")

    with pytest.raises(StageError, match="was done with other inputs"):
        changed.run(to_stage="prepare")

    assert facts(work) == ("recipe", 2)
    changed.run(to_stage="prepare", force=True)
    assert facts(work) == ("other", 7)


def test_a_run_that_finds_all_done_tells_where_its_recipe_lies_now(tmp_path: Path) -> None:
    work = tmp_path / "work"
    tones_pipeline(tmp_path / "recipe", work, *FEW_TONES).run(to_stage="prepare")

    tones_pipeline(tmp_path / "moved", work, *FEW_TONES).run(to_stage="prepare")

    assert facts(work) == ("moved", 2)
