"""A wrong value late in a grid was found after the points before it had trained, and blamed on ``--set``."""

from __future__ import annotations

import shutil
from pathlib import Path

from typer.testing import CliRunner

from asr_kd.cli.app import app

SUPPORT = Path(__file__).resolve().parents[1] / "support"


def test_is_refused_before_anything_runs(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe"
    recipe.mkdir()
    shutil.copy(SUPPORT / "tones_recipe.yaml", recipe / "recipe.yaml")
    command = ["sweep", str(recipe), "--work", str(tmp_path / "work"), "--to-stage", "student"]
    done = CliRunner().invoke(app, [*command, "--grid", "student.hard_weight=0.5,much"])
    assert done.exit_code == 1
    assert "--grid student.hard_weight=much: " in str(done.exception)
    assert not (tmp_path / "work-sweep").exists()


def test_one_of_set_is_still_that_of_set(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe"
    recipe.mkdir()
    shutil.copy(SUPPORT / "tones_recipe.yaml", recipe / "recipe.yaml")
    command = ["sweep", str(recipe), "--work", str(tmp_path / "work"), "--set", "train.epochs=0"]
    done = CliRunner().invoke(app, [*command, "--grid", "student.hard_weight=0.5"])
    assert done.exit_code == 1
    assert "--set train.epochs=0: " in str(done.exception)
