"""Classes that an image corpus lacks were passed over, or gave a traceback when all nets had been trained."""

from __future__ import annotations

from pathlib import Path

import pytest

from asr_kd.config import load_any_recipe
from asr_kd.errors import ConfigError
from asr_kd.experiment import open_pipeline
from asr_kd.pipeline import Pipeline
from asr_kd.report.results import Provenance
from tests.support.idx_corpus import write_corpus

RECIPE = """\
kind: images
name: bars
corpus: {module: mnist, options: {num_dev: 100}}
students: [{name: first}, {name: second, %s}]
"""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus"))


def _prepared(folder: Path, corpus: Path, classes: str) -> Pipeline:
    (folder / "recipe.yaml").write_text(RECIPE % classes)
    provenance = Provenance(recipe="bars", profile="default", command="asr-kd run bars", machine="a test")
    run = open_pipeline(load_any_recipe(folder), folder, folder / "work", corpus, provenance)
    run.run(to_stage="prepare")
    return run


@pytest.mark.parametrize(
    ("classes", "refusal"),
    [
        ("only: [7, 12]", "only names classes that the corpus lacks; expected some of 0 to 9, got 12"),
        ("without: [10]", "without names classes that the corpus lacks; expected some of 0 to 9, got 10"),
        ("correct: [3, -1]", "correct names classes that the corpus lacks; expected some of 0 to 9, got -1"),
        ("without: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]", "without names all classes; expected at most 9 of them"),
        ("correct: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]", "correct names all classes; expected at most 9 of them"),
    ],
)
def test_are_refused_before_a_teacher_is_trained(
    tmp_path: Path, corpus: Path, classes: str, refusal: str
) -> None:
    run = _prepared(tmp_path, corpus, classes)
    with pytest.raises(ConfigError, match=f"student second: {refusal}"):
        run.run()
    assert not run.work.training.exists()


def test_all_that_there_are_may_be_named(tmp_path: Path, corpus: Path) -> None:
    run = _prepared(tmp_path, corpus, "only: [0, 9], correct: [0, 9]")
    for stage in run.stages:
        stage.check_corpus(run.work)
