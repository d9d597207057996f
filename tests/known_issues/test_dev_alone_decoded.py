"""A run that decodes dev alone, as a study does, failed at its report, which looked for test."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from asr_kd.cli.app import app
from asr_kd.stages.report import PAGE_FILE
from tests.support.tones import tones_recipe


def test_the_report_of_dev_alone(tmp_path: Path) -> None:
    recipe = tones_recipe(tmp_path / "recipe")
    small = ("corpus.options.utterances=4", "train.epochs=1", "student.train.epochs=1", "decode.splits=[dev]")
    overrides = [part for each in small for part in ("--set", each)]
    work = tmp_path / "work"
    done = CliRunner().invoke(app, ["run", str(recipe), "--work", str(work), *overrides])
    assert done.exit_code == 0, done.output
    assert done.output.rstrip().endswith("student dev")
    page = (work / PAGE_FILE).read_text(encoding="utf-8")
    assert "Worst utterances of student, dev" in page
