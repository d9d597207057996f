"""A wrong value given with ``--set``, or in a profile, was reported at an innocent line of the recipe."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from asr_kd.config import load_any_recipe, load_recipe
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


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "student.train.epoch=3",
            'unknown setting "student.train.epoch"; expected one of epochs, batch_size',
        ),
        ("student.train.epoch=3", "did you mean epochs?"),
        ("student.train.epochs=0", 'setting "student.train.epochs": Input should be greater'),
        ("student.train.masks={max_frq_width: 3}", "did you mean max_freq_width?"),
        ("baseline.train.rate=3", 'unknown setting "baseline.train.rate"'),
        (
            "student.model.option.units=3",
            'unknown setting "student.model.option"; expected one of name, options',
        ),
        ("sequence.train.epoch=3", 'unknown setting "sequence.train.epoch"; expected one of epochs'),
        ("teachers.variants=[{train: {epoch: 3}}]", 'unknown setting "teachers.variants.0.train.epoch"'),
        # Those of the student's net were looked at when its teachers had been trained.
        ("model.options.unit=3", 'unknown option "unit"; expected one of hidden_layers, units, dropout'),
        ("student.model.options.unit=3", "did you mean units?"),
        (
            "student.model.options.units=0",
            'option "units": Input should be greater than or equal to 1; got 0',
        ),
        ("baseline.model.options.dropout=1", 'option "dropout": Input should be less than 1; got 1'),
        ("teachers.variants=[{}, {model: {options: {unit: 3}}}]", 'unknown option "unit"'),
        ("sequence.model.options.unit=3", 'unknown option "unit"'),
    ],
)
def test_changes_and_options_are_checked_where_they_stand(
    tmp_path: Path, override: str, message: str
) -> None:
    # Until a net was made of them nobody looked at them, and then a traceback named no place.
    (tmp_path / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    with pytest.raises(ConfigError, match=re.escape(message)) as raised:
        load_recipe(tmp_path, overrides=[override])
    assert str(raised.value).startswith(f"--set {override}: ")


def test_options_of_a_students_net_are_checked_with_its_images_recipe(tmp_path: Path) -> None:
    students = "students: [{name: small, model: {options: {unit: 3}}}]"
    (tmp_path / "recipe.yaml").write_text(f"kind: images\nname: i\ncorpus: {{module: mnist}}\n{students}\n")
    with pytest.raises(ConfigError, match=r'recipe.yaml:4: unknown option "unit"'):
        load_any_recipe(tmp_path)


def test_options_of_a_users_own_net_are_its_own(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    recipe = load_recipe(tmp_path, overrides=["model={name: 'mine:Net', options: {layers: 3}}"])
    assert recipe.student_net().model.options == {"layers": 3}
