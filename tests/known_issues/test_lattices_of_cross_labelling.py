"""With ``teachers.folds`` a student learnt the paths that teachers preferred who had learnt the utterance."""

from __future__ import annotations

from pathlib import Path

import pytest

from asr_kd.config import load_recipe
from asr_kd.errors import ConfigError
from tests.support.tones import tones_recipe

FOLDS = "teachers.folds={count: 2}"


def test_are_refused_before_anything_runs(tmp_path: Path) -> None:
    recipe = tones_recipe(tmp_path)
    with pytest.raises(ConfigError, match=r"sequence\.criterion teacher .* teachers\.folds") as caught:
        load_recipe(recipe, overrides=["sequence={criterion: teacher}", FOLDS])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("criterion", ["smbr", "mmi"])
def test_other_criteria_look_at_no_teacher(tmp_path: Path, criterion: str) -> None:
    recipe = load_recipe(tones_recipe(tmp_path), overrides=[f"sequence={{criterion: {criterion}}}", FOLDS])
    assert recipe.sequence is not None
    assert recipe.sequence.criterion == criterion
