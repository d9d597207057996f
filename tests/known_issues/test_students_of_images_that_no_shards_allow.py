"""What a student of images could not learn from its shards was refused when all teachers had been trained."""

from __future__ import annotations

from pathlib import Path

import pytest

from asr_kd.config import load_any_recipe
from asr_kd.errors import ConfigError, ShardError
from asr_kd.experiment import open_pipeline
from asr_kd.pipeline import Pipeline
from asr_kd.report.results import Provenance

RECIPE = """\
kind: images
name: bars
corpus: {module: mnist}
teachers: {count: 3}
ensemble: {num_teachers: 2, temperature: 4}
students: [{name: plain}, {name: other, %s}]
grids: [{name: narrow, units: [4], temperatures: [%s]}]
"""


def _pipeline(folder: Path, student: str = "seed: 7", temperatures: str = "4", *overrides: str) -> Pipeline:
    (folder / "recipe.yaml").write_text(RECIPE % (student, temperatures))
    provenance = Provenance(recipe="bars", profile="default", command="asr-kd run bars", machine="a test")
    return open_pipeline(
        load_any_recipe(folder, overrides=overrides), folder, folder / "work", None, provenance
    )


@pytest.mark.parametrize(
    ("student", "refusal"),
    [
        ("temperature: 2", r"student other\.temperature: .*the arithmetic mean of 2 teachers"),
        ("loss: logit_matching", r"student other\.loss: .*arithmetic"),
        ("teachers: 1", r"student other\.teachers: some of the teachers cannot be chosen"),
    ],
)
def test_targets_that_will_not_be_stored(tmp_path: Path, student: str, refusal: str) -> None:
    with pytest.raises(ShardError, match=refusal):
        _pipeline(tmp_path, student)


def test_temperatures_of_a_grid(tmp_path: Path) -> None:
    with pytest.raises(ShardError, match=r"student narrow-4-T1\.temperature: .*expected 4\.0, got 1\.0"):
        _pipeline(tmp_path, temperatures="4, 1")


@pytest.mark.parametrize("override", ["ensemble.num_teachers=1", "ensemble.averaging=geometric"])
def test_what_will_be_stored_is_taken(tmp_path: Path, override: str) -> None:
    assert _pipeline(tmp_path, "loss: logit_matching", "4, 1", override).stages
    assert _pipeline(tmp_path, "temperature: 2", "4, 1", override).stages


def test_passes_over_splits_that_images_have_not(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="passes: are over train and transfer"):
        _pipeline(tmp_path, "passes: {train: 2}")
