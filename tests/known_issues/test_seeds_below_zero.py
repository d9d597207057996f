"""A seed below 0 was a traceback of numpy: the student's after all teachers had trained and labelled."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from asr_kd.cli.app import app
from asr_kd.config import load_recipe
from asr_kd.errors import ConfigError
from tests.support.tones import tones_recipe


@pytest.mark.parametrize(
    "setting", ["teachers.seed", "baseline.seed", "control.seed", "student.seed", "score.seed"]
)
def test_a_seed_below_zero_is_refused_where_it_was_given(tmp_path: Path, setting: str) -> None:
    folder = tones_recipe(tmp_path / "recipe")

    with pytest.raises(ConfigError, match="greater than or equal to 0") as caught:
        load_recipe(folder, overrides=[f"{setting}=-1"])

    assert caught.value.where == f"--set {setting}=-1"
    load_recipe(folder, overrides=[f"{setting}=0"])


def test_train_student_takes_no_seed_below_zero(tmp_path: Path) -> None:
    arguments = ["train-student", str(tmp_path), "--recipe", "fsdd", "--out", str(tmp_path / "out")]

    result = CliRunner().invoke(app, [*arguments, "--seed", "-1"])

    assert result.exit_code == 2
    assert "seed" in result.output
