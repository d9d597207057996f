"""``count: 0`` of an image recipe was taken, and ended in a traceback when all teachers had been trained."""

from __future__ import annotations

from pathlib import Path

import pytest

from asr_kd.config import load_any_recipe
from asr_kd.errors import ConfigError
from asr_kd.stages.images.recipe import ImageRecipe

RECIPE = """\
kind: images
name: bars
corpus: {module: mnist}
students: [{name: plain, count: 2}]
"""


@pytest.mark.parametrize("count", [0, -1])
def test_is_refused(tmp_path: Path, count: int) -> None:
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    with pytest.raises(ConfigError, match=f"count.* greater than or equal to 1.*{count}"):
        load_any_recipe(tmp_path, overrides=[f"count={count}"])


@pytest.mark.parametrize(("override", "expected"), [("count=3", 3), ("count=null", 2)])
def test_other_counts_stay(tmp_path: Path, override: str, expected: int) -> None:
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    recipe = load_any_recipe(tmp_path, overrides=[override])
    assert isinstance(recipe, ImageRecipe)
    assert [student.count for student in recipe.all_students()] == [expected]
