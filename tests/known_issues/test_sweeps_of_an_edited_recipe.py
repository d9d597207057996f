"""Points that were swept before and after an edit of the recipe stood on one curve."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from asr_kd.config import load_recipe
from asr_kd.experiment import open_pipeline
from asr_kd.pipeline import Pipeline
from asr_kd.report.results import Provenance
from asr_kd.report.sweeps import SWEEP_FILE, Sweep, read_points, sweeps_of
from asr_kd.stages.base import WorkDir
from asr_kd.sweep import parse_grid, run_sweep
from tests.support.nothing_decoded import NothingDecoded
from tests.support.tones import tones_recipe

_PROVENANCE = Provenance(recipe="tones", profile="default", command="asr-kd sweep", machine="test")


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    return tones_recipe(tmp_path / "recipe") / "recipe.yaml"


def _edit(recipe: Path, before: str, after: str) -> None:
    text = recipe.read_text()
    assert before in text
    recipe.write_text(text.replace(before, after))


def _sweep(recipe: Path, grid: str) -> list[Sweep]:
    """Run a sweep of the recipe as it is now; return all that ``sweep.json`` has."""
    folder = recipe.parent.parent / "work-sweep"

    def open_point(point: Sequence[str], place: Path) -> Pipeline:
        settings = load_recipe(recipe.parent, overrides=point)
        facts = open_pipeline(settings, recipe.parent, place, None, _PROVENANCE).facts
        return Pipeline([NothingDecoded()], WorkDir(place), facts)

    run_sweep(parse_grid([grid]), open_point, folder.with_name("work"), folder)
    return sweeps_of(read_points(folder / SWEEP_FILE))


def _values(sweeps: Sequence[Sweep]) -> list[list[Any]]:
    return [[value for point in sweep.points for value in point.settings.values()] for sweep in sweeps]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("student: {train: {epochs: 4}}", "student: {train: {epochs: 12}}"),
        ("tests.support.tone_corpus}", "tests.support.tone_corpus, options: {utterances: 6}}"),
    ],
)
def test_are_two_sweeps(recipe: Path, before: str, after: str) -> None:
    assert _values(_sweep(recipe, "student.hard_weight=0,0.5")) == [[0, 0.5]]
    _edit(recipe, before, after)
    assert _values(_sweep(recipe, "student.hard_weight=0.5,1")) == [[0, 0.5], [0.5, 1]]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("student: {", "student: {hard_weight: 0.25, "),  # What is swept has the points' values.
        ("ensemble: {shard_frames: 2000, num_processes: 1}", "ensemble: {shard_frames: 2000}"),
        ("name: tones", "name: tones\ndescription: of tones"),
    ],
)
def test_stay_one_where_the_edit_changes_no_point(recipe: Path, before: str, after: str) -> None:
    _sweep(recipe, "student.hard_weight=0,0.5")
    _edit(recipe, before, after)
    assert _values(_sweep(recipe, "student.hard_weight=0.5,1")) == [[0, 0.5, 1]]


def test_what_a_swept_mapping_leaves_to_the_recipe_counts(recipe: Path) -> None:
    grid = "model.options={units: 8},{units: 16}"
    assert len(_sweep(recipe, grid)) == 1
    _edit(recipe, "dropout: 0.1", "dropout: 0.2")
    assert len(_sweep(recipe, grid)) == 2


def test_points_of_files_that_do_not_tell_their_recipe_are_a_sweep_of_their_own(recipe: Path) -> None:
    _sweep(recipe, "student.hard_weight=0,0.5")
    path = recipe.parent.parent / "work-sweep" / SWEEP_FILE
    old = json.loads(path.read_text())
    for point in old:
        del point["recipe"]
    path.write_text(json.dumps(old))
    assert [sweep.recipe for sweep in sweeps_of(read_points(path))] == [None]
    assert _values(_sweep(recipe, "student.hard_weight=0.5,1")) == [[0, 0.5], [0.5, 1]]
