"""A student of images that was named ``teacher`` took the place of the first teacher's model."""

from __future__ import annotations

from pathlib import Path

import pytest

from asr_kd.config import load_any_recipe
from asr_kd.errors import ConfigError
from asr_kd.stages.images.recipe import ImageRecipe
from asr_kd.stages.teachers import teacher_name

RECIPE = """\
kind: images
name: bars
corpus: {module: mnist}
students: [{name: %s}]
"""


def _load(folder: Path, student: str) -> ImageRecipe:
    (folder / "recipe.yaml").write_text(RECIPE % student)
    recipe = load_any_recipe(folder)
    assert isinstance(recipe, ImageRecipe)
    return recipe


def test_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a student is named teacher, as the teachers' models and row are"):
        _load(tmp_path, "teacher")


def test_names_that_begin_so_are_taken(tmp_path: Path) -> None:
    recipe = _load(tmp_path, "teacher-01")
    models = {student.model_name(0) for student in recipe.all_students()}
    assert models == {"teacher-01-01"}
    assert models.isdisjoint({teacher_name(index) for index in range(recipe.teachers.count)})
