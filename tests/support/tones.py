"""The recipe of synthesised tones, which runs all stages in seconds."""

from __future__ import annotations

import shutil
from pathlib import Path

from asr_kd.config import load_recipe
from asr_kd.experiment import open_pipeline
from asr_kd.pipeline import Pipeline
from asr_kd.report.results import Provenance

_RECIPE = Path(__file__).with_name("tones_recipe.yaml")
_PROVENANCE = Provenance(recipe="tones", profile="default", command="asr-kd run", machine="test")


FEW_TONES = (
    "corpus.options.utterances=4",
    "align.flat_start.num_iterations=2",
    "align.flat_start.last_mixing_iteration=1",
    "align.flat_start.realign_iterations=[1]",
    "train.epochs=1",
)
"""Overrides for the least that runs, where what is learnt does not matter."""


def tones_recipe(folder: Path) -> Path:
    """Write the recipe into a folder, which is made where there is none; return the folder."""
    folder.mkdir(exist_ok=True)
    shutil.copy(_RECIPE, folder / "recipe.yaml")
    return folder


def tones_pipeline(folder: Path, work: Path, *overrides: str) -> Pipeline:
    """Return the pipeline of the recipe, written into a folder, over a work folder."""
    recipe = load_recipe(tones_recipe(folder), overrides=overrides)
    return open_pipeline(recipe, folder, work, None, _PROVENANCE)
