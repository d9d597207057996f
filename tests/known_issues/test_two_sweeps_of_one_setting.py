"""Sweeps over one setting with other ``--set`` trained in one folder in turn, and shared no teachers."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from asr_kd.cli.app import app
from tests.support.tones import tones_recipe


def test_each_keeps_its_points_and_they_share_the_teachers(tmp_path: Path) -> None:
    recipe = tones_recipe(tmp_path / "recipe")
    small = ("corpus.options.utterances=4", "train.epochs=1", "control.count=0")
    command = ["sweep", str(recipe), "--work", str(tmp_path / "work"), "--to-stage", "student"]
    command += ["--grid", "student.hard_weight=0.5"]
    for setting in small:
        command += ["--set", setting]
    for epochs in (1, 2):
        done = CliRunner().invoke(app, [*command, "--set", f"student.train.epochs={epochs}"])
        assert done.exit_code == 0, done.output
    folders = [path for path in (tmp_path / "work-sweep").iterdir() if path.is_dir()]
    assert len(folders) == 2
    teachers = {(folder / "models/teacher-01/model.safetensors").stat().st_ino for folder in folders}
    assert len(teachers) == 1
    cards = [json.loads((folder / "models/student-01/model.json").read_text()) for folder in folders]
    assert sorted(len(card["provenance"]["epochs"]) for card in cards) == [1, 2]
