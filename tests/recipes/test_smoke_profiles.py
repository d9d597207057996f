"""Every recipe's smoke profile from start to table, as a user would run it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from asr_kd.report.results import Results, read_results

REPOSITORY = Path(__file__).resolve().parents[2]
RECIPES = sorted(path.parent.name for path in (REPOSITORY / "recipes").glob("*/recipe.yaml"))

MAX_WER = {"quickstart": 0.6, "custom_frontend": 0.8, "yesno": 0.05, "fsdd": 0.4, "speechocean762": 1.0}
"""What a smoke profile's student must reach: far from the recipe's results, near enough to catch a fault."""

REAL_CORPORA = {"yesno", "fsdd", "speechocean762"}


def _run(recipe: str, work: Path, corpus: Path | None) -> tuple[str, Results]:
    command = [sys.executable, "-c", "from asr_kd.cli import main; main()", "run", recipe]
    command += ["--profile", "smoke", "--work", str(work)]
    if corpus is not None:
        command += ["--corpus", str(corpus)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout, read_results(work / "results.json")


@pytest.mark.parametrize("recipe", RECIPES)
def test_smoke_profile(recipe: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    corpus = None
    if recipe in REAL_CORPORA:
        corpus = request.getfixturevalue("shared_data") / recipe
    printed, results = _run(recipe, tmp_path / "work", corpus)
    assert re.match(r"%WER [\d.]+ \[ .* \] student test$", printed.rstrip().splitlines()[-1])
    student = results.row("student", "test")
    assert student.wer is not None
    assert student.wer.mean < MAX_WER[recipe]
    assert results.row("ensemble", "test").frame_accuracy is not None


def test_every_recipe_is_documented() -> None:
    for recipe in RECIPES:
        folder = REPOSITORY / "recipes" / recipe
        assert (folder / "README.md").is_file(), recipe
        assert (folder / "RESULTS.md").is_file(), recipe
