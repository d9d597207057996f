"""A sweep shares what its points agree on, and its work folders can be compared."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from asr_kd.cli.app import app
from asr_kd.errors import ScoringError, StageError
from tests.support.tones import tones_recipe

SMALL = ("--set", "corpus.options.utterances=6", "--set", "train.epochs=1", "--set", "control.count=0")


def _asr_kd(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tones_recipe(tmp_path_factory.mktemp("sweep"))
    _asr_kd("run", folder, "--work", folder / "work", *SMALL, "--to-stage", "ensemble")
    return folder


def _sweep(recipe: Path, *arguments: object) -> str:
    grid = ("--grid", "student.hard_weight=0,0.5")
    return _asr_kd("sweep", recipe, "--work", recipe / "work", *SMALL, *grid, *arguments)


def test_points_share_teachers_and_shards(recipe: Path) -> None:
    facts = (recipe / "work" / "run.json").read_text()
    printed = _sweep(recipe, "--to-stage", "student")
    rows = json.loads((recipe / "work-sweep" / "sweep.json").read_text())
    assert len(rows) == 2
    for row in rows:
        # What the student's gain is measured against, without decoding.
        assert {system: len(values) for system, values in row["frame_accuracy"].items()} == {
            "baseline": 2,
            "ensemble": 1,
            "student": 1,
        }
        baseline, ensemble = (row["frame_accuracy"][name] for name in ("baseline", "ensemble"))
        assert abs(ensemble[0] - sum(baseline) / 2) < 0.1
    assert len(printed.split(" *\n")) <= 2
    folders = sorted(path for path in (recipe / "work-sweep").iterdir() if path.is_dir())
    assert len(folders) == 2
    for name in ("models/teacher-01/model.safetensors", "shards/train-000000.tar"):
        base = recipe / "work" / name
        assert {(folder / name).stat().st_ino for folder in folders} == {base.stat().st_ino}
    students = {(folder / "models/student-01/model.safetensors").read_bytes() for folder in folders}
    assert len(students) == 2
    assert (recipe / "work" / "run.json").read_text() == facts
    assert not (recipe / "work" / "models" / "student-01").exists()


def test_goes_on_to_wer_on_dev_alone_and_resumes(recipe: Path) -> None:
    _sweep(recipe, "--to-stage", "student")
    (folder,) = (recipe / "work-sweep").glob("student.hard_weight=0.5*")
    trained = (folder / "models/student-01/model.safetensors").stat().st_mtime_ns
    _sweep(recipe)
    assert (folder / "models/student-01/model.safetensors").stat().st_mtime_ns == trained
    assert (folder / "decode/student-01/dev.txt").is_file()
    assert not list((recipe / "work-sweep").glob("*/decode/*/test*"))
    rows = json.loads((recipe / "work-sweep" / "sweep.json").read_text())
    assert len(rows) == 2
    assert all(0 <= row["wer"]["student"][0] < 1 for row in rows)
    _asr_kd("run", recipe, "--work", recipe / "work", *SMALL)
    assert "Sweep of student.hard_weight, dev" in (recipe / "work" / "report.html").read_text()

    printed = _asr_kd("compare", folder, f"{folder}:baseline", "--split", "dev").splitlines()
    assert printed[0].startswith(f"{folder}: WER ")
    assert printed[2].startswith("difference in WER ")
    assert printed[5].startswith("difference in frame accuracy ")
    with pytest.raises(StageError, match='split "test" was not decoded'):
        _asr_kd("compare", folder, folder)
    with pytest.raises(StageError, match='no system "control"; expected one of gmm, baseline'):
        _asr_kd("compare", folder, f"{folder}:control", "--split", "dev")
    with pytest.raises(ScoringError, match="neither a work folder nor WORK:SYSTEM"):
        _asr_kd("compare", folder, recipe)


def test_compares_hypothesis_files(tmp_path: Path) -> None:
    for name, text in (("ref", "a one two\nb three"), ("x", "a one two\nb three"), ("y", "a one\nb three")):
        (tmp_path / name).write_text(text + "\n")
    printed = _asr_kd("compare", tmp_path / "x", tmp_path / "y", "--reference", tmp_path / "ref")
    assert f"{tmp_path / 'x'}: WER 0.00 %" in printed
    assert f"{tmp_path / 'y'}: WER 33.33 %" in printed
    assert "difference in WER -33.33 points" in printed
