"""A sweep over ``ensemble.data_share`` broke at its second point, which took the first shards for its own."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from asr_kd.cli.app import app
from tests.support.tones import tones_recipe


def test_labels_each_share_anew(tmp_path: Path) -> None:
    recipe = tones_recipe(tmp_path / "recipe")
    command = ["sweep", str(recipe), "--work", str(tmp_path / "work"), "--to-stage", "student"]
    small = [
        "corpus.options.utterances=3",
        "train.epochs=1",
        "student.train.epochs=1",
        "control.count=0",
        "teachers.count=1",
    ]
    grid = ["--grid", "ensemble.data_share=1.0,0.5"]
    done = CliRunner().invoke(app, [*command, *(f"--set={each}" for each in small), *grid])
    assert done.exit_code == 0, done.exception
    sizes = [
        json.loads(path.read_text())["splits"]["train"][0]["num_frames"]
        for path in sorted((tmp_path / "work-sweep").glob("*/shards/header.json"))
    ]
    assert len(sizes) == 2
    assert sizes[0] < sizes[1]
