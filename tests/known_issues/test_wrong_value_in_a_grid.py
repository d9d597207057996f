"""A wrong value late in a grid was found after the points before it had trained, and blamed on ``--set``."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from asr_kd.cli.app import app
from tests.support.tones import tones_recipe


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--grid", "student.hard_weight=0.5,much"], "--grid student.hard_weight=much: "),
        (["--grid", "student.hard_weight=0.5", "--set", "train.epochs=0"], "--set train.epochs=0: "),
    ],
)
def test_is_refused_before_anything_runs(tmp_path: Path, options: list[str], message: str) -> None:
    recipe = tones_recipe(tmp_path / "recipe")
    command = ["sweep", str(recipe), "--work", str(tmp_path / "work"), "--to-stage", "student"]
    done = CliRunner().invoke(app, [*command, *options])
    assert done.exit_code == 1
    assert message in str(done.exception)
    assert not (tmp_path / "work-sweep").exists()
