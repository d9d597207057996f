"""Every recipe's smoke profile from start to table, as a user would run it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from asr_kd.report.error_results import read_error_results
from asr_kd.report.results import read_results
from tests.support.run_recipe import REPOSITORY, run_recipe

RECIPES = sorted(path.parent.name for path in (REPOSITORY / "recipes").glob("*/recipe.yaml"))
IMAGES = ["mnist"]
# Their corpora are made in the originals' layout by test_corpora_layouts.py.
MADE_CORPORA = ["librispeech", "timit", "commonvoice", "kaldi"]
SPEECH = sorted(set(RECIPES) - set(IMAGES) - set(MADE_CORPORA))

MAX_WER = {"quickstart": 0.6, "custom_frontend": 0.8, "yesno": 0.05, "fsdd": 0.4, "speechocean762": 1.0}
"""What a smoke profile's student must reach: far from the recipe's results, near enough to catch a fault."""

REAL_CORPORA = {"yesno", "fsdd", "speechocean762"}


@pytest.mark.parametrize("recipe", SPEECH)
def test_smoke_profile(recipe: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    corpus = None
    if recipe in REAL_CORPORA:
        corpus = request.getfixturevalue("shared_data") / recipe
    printed = run_recipe(recipe, tmp_path / "work", corpus)
    results = read_results(tmp_path / "work" / "results.json")
    assert re.match(r"%WER [\d.]+ \[ .* \] student test$", printed.rstrip().splitlines()[-1])
    student = results.row("student", "test")
    assert student.wer is not None
    assert student.wer.mean < MAX_WER[recipe]
    assert results.row("ensemble", "test").frame_accuracy is not None


def test_mnist_smoke_profile(tmp_path: Path, shared_data: Path) -> None:
    printed = run_recipe("mnist", tmp_path, shared_data / "mnist")
    assert "profile smoke, errors of 2,000 (test)" in printed
    results = read_error_results(tmp_path / "results.json")
    assert [row.system for row in results.rows[:6]] == [
        "teacher",
        "plain",
        "distilled",
        "distilled-moved",
        "without-3",
        "only-7-8",
    ]
    assert results.row("teacher").errors[0] < 500
    assert results.row("plain").errors[0] < 500
    assert results.row("distilled-moved").errors[0] < 500
    without = results.row("without-3")
    # Nearly no 3 is known for one before the bias of 3 is raised, most are afterwards.
    assert without.corrected_on_missing[0] < without.errors_on_missing[0] / 2
    assert without.bias[0] > 0
    assert max(results.row("only-7-8").bias) < 0
    assert "| without-3 | 20 |" in (tmp_path / "RESULTS.md").read_text()


def test_every_recipe_is_documented() -> None:
    for recipe in RECIPES:
        folder = REPOSITORY / "recipes" / recipe
        assert (folder / "README.md").is_file(), recipe
        assert (folder / "RESULTS.md").is_file(), recipe
