"""A wrong value given with ``--set``, or in a profile, was reported at an innocent line of the recipe."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from asr_kd.config import load_recipe
from asr_kd.errors import ConfigError

RECIPE = """\
name: small
corpus: {module: fsdd}
train:
  epochs: 3
profiles:
  long:
    train:
      epochs: 0
"""


@pytest.mark.parametrize(
    ("profile", "overrides", "where"),
    [
        ("default", ["train.optimiser=sgd"], "--set train.optimiser=sgd: setting"),
        # Pydantic's words for a kind of a union have brackets too.
        ("default", ["epochs[0]=4"], '--set epochs[0]=4: unknown setting "epochs[0]"'),
        ("default", ["train.rate[0]=4"], '--set train.rate[0]=4: unknown setting "train.rate[0]"'),
        ("default", ["train.epoch=4"], '--set train.epoch=4: unknown setting "train.epoch"'),
        # The last one counts, and one that sets what the wrong value stands in.
        ("default", ["train.epochs=-1", "train={epochs: -2}"], "--set train={epochs: -2}: setting"),
        (
            "default",
            ["teachers.variants.units=4"],
            '--set teachers.variants.units=4: setting "teachers.variants"',
        ),
        ("long", [], 'recipe.yaml:8: setting "train.epochs"'),
        ("long", ["train.epochs=-1"], "--set train.epochs=-1: setting"),
        ("long", ["train.batch_size=4"], 'recipe.yaml:8: setting "train.epochs"'),
    ],
)
def test_the_place_that_gave_the_value_is_named(
    tmp_path: Path, profile: str, overrides: list[str], where: str
) -> None:
    (tmp_path / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    with pytest.raises(ConfigError, match=re.escape(where)):
        load_recipe(tmp_path, profile, overrides)
