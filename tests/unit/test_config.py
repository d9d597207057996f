from __future__ import annotations

from pathlib import Path

import pytest

from asr_kd.config import find_recipe, known_recipes, load_any_recipe, load_recipe, parse_override
from asr_kd.errors import ConfigError
from asr_kd.stages.recipe import Recipe

RECIPE = """\
name: mine
corpus: {module: yesno}
frontend: my_module:MyFrontend
model: {options: {units: 64, dropout: 0.2}}
train:
  epochs: 3
teachers:
  count: 3
  variants:
    - {}
    - {model: {options: {units: 96}}, window: {left: 10, right: 10}}
student: {model: {options: {dropout: 0.0}}, train: {epochs: 9}}
baseline: {count: 2, model: {options: {dropout: 0.2}}}
profiles:
  smoke:
    train: {epochs: 1}
"""


def _recipe(folder: Path, text: str = RECIPE) -> Path:
    (folder / "recipe.yaml").write_text(text)
    return folder


def test_profile_and_overrides_lie_over_the_recipe(tmp_path: Path) -> None:
    folder = _recipe(tmp_path)
    assert load_recipe(folder).train.epochs == 3
    smoke = load_recipe(folder, "smoke", ["ensemble.temperature=4", "train.batch_size=64"])
    assert (smoke.train.epochs, smoke.train.batch_size, smoke.ensemble.temperature) == (1, 64, 4.0)


def test_frontend_may_be_a_name_alone(tmp_path: Path) -> None:
    assert load_recipe(_recipe(tmp_path)).features().name == "my_module:MyFrontend"


def test_teachers_differ_as_their_variants_say(tmp_path: Path) -> None:
    nets = load_recipe(_recipe(tmp_path)).teacher_nets()
    assert [net.seed for net in nets] == [1, 2, 3]
    assert [net.model.options["units"] for net in nets] == [64, 96, 64]
    assert [net.window.left for net in nets] == [20, 10, 20]
    assert nets[1].model.options["dropout"] == 0.2


def test_baseline_has_the_students_size_and_its_own_dropout(tmp_path: Path) -> None:
    recipe = load_recipe(_recipe(tmp_path), overrides=["student.model.options.units=32"])
    student = recipe.student_net()
    assert student.model.options == {"units": 32, "dropout": 0.0}
    assert student.train.epochs == 9
    baselines = recipe.baseline_nets()
    assert [net.seed for net in baselines] == [1, 2]
    assert baselines[0].model.options == {"units": 32, "dropout": 0.2}
    assert baselines[0].train.epochs == 3


def test_control_is_the_baseline_with_the_students_updates(tmp_path: Path) -> None:
    recipe = load_recipe(_recipe(tmp_path), overrides=["views.count=2", "control.count=2"])
    controls = recipe.control_nets()
    assert [net.seed for net in controls] == [51, 52]
    assert controls[0].train.epochs == 9 * 3
    baseline = recipe.baseline_nets()[0]
    assert controls[0].model == baseline.model
    assert controls[0].train == baseline.train.model_copy(update={"epochs": 27})


def test_teachers_baseline_and_control_learn_the_same_hard_views(tmp_path: Path) -> None:
    recipe = load_recipe(_recipe(tmp_path), overrides=["views.count=3", "views.hard=1"])
    nets = [recipe.teacher_nets()[0], recipe.baseline_nets()[0], recipe.control_nets()[0]]
    assert [net.views and net.views.count for net in nets] == [1, 1, 1]
    assert recipe.student_net().views is None  # The student's are in the shards.
    # Nine epochs of four views are 36 passes, or 18 of two.
    assert recipe.control_nets()[0].train.epochs == 18
    with pytest.raises(ConfigError, match=r"views.hard is 4, and views.count only 3"):
        load_recipe(_recipe(tmp_path), overrides=["views.count=3", "views.hard=4"])


def test_unknown_setting_is_named_with_its_line(tmp_path: Path) -> None:
    folder = _recipe(tmp_path, RECIPE.replace("epochs: 3", "epoch: 3"))
    with pytest.raises(
        ConfigError,
        match=r'recipe.yaml:6: unknown setting "train.epoch"; expected one of epochs.*did you mean epochs\?',
    ):
        load_recipe(folder)


def test_wrong_value_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r'setting "teachers.count".*greater than or equal to 1.*got 0'):
        load_recipe(_recipe(tmp_path), overrides=["teachers.count=0"])


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["student.passes={dev: 1}"],
            r"setting \"student.passes.dev\": Input should be 'train' or 'transfer'",
        ),
        (
            ["ensemble.weights=accuracy"],
            'setting "ensemble.weights": weights are one number a teacher, or dev_',
        ),
        (
            ["ensemble.weights=dev_accuracy"],
            'setting "ensemble": averaging weighted takes weights, and no other',
        ),
        (
            ["ensemble.averaging=weighted"],
            'setting "ensemble": averaging weighted takes weights, and no other',
        ),
        (
            ["teachers.folds={count: 9}"],
            'setting "teachers": no one of 3 teachers would leave out the last of 9',
        ),
        (
            ["teachers.folds={count: 2}", "ensemble.keep_apart=true"],
            "settings that do not go together: ensemble.keep_apart needs labels of all teachers",
        ),
        (
            ["student.start=teacher", "student.model={options: {units: 33}}"],
            "settings that do not go together: student.start is teacher, and no teacher has its net",
        ),
    ],
)
def test_settings_that_do_not_go_together_are_named_in_plain_words(
    tmp_path: Path, overrides: list[str], message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as raised:
        load_recipe(_recipe(tmp_path), overrides=overrides)
    assert "Value error" not in str(raised.value)


def test_a_setting_that_stands_twice_has_its_second_line(tmp_path: Path) -> None:
    recipe = "name: twice\ntrain: {epochs: 3}\nmodel:\n  name: dnn\ntrain: {batch_size: 64}\n"
    with pytest.raises(ConfigError, match=r'recipe.yaml:5: malformed YAML: "train" stands twice'):
        load_recipe(_recipe(tmp_path, recipe))


def test_malformed_yaml_has_its_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"recipe.yaml:3: malformed YAML"):
        load_recipe(_recipe(tmp_path, "name: mine\ncorpus: {module: yesno\ntrain: [}\n"))


def test_unknown_profile_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r'unknown profile "fast"; expected one of default, smoke$'):
        load_recipe(_recipe(tmp_path), "fast")
    with pytest.raises(ConfigError, match=r"did you mean smoke\?$"):
        load_recipe(_recipe(tmp_path), "smok")


def test_weights_must_fit_the_teachers(tmp_path: Path) -> None:
    overrides = ["ensemble.averaging=weighted", "ensemble.weights=[0.5, 0.5]"]
    with pytest.raises(ConfigError, match="2 weights for 3 teachers"):
        load_recipe(_recipe(tmp_path), overrides=overrides)


def test_mixtures_need_an_alignment_of_our_own(tmp_path: Path) -> None:
    overrides = ["decode.mixtures=true", "align.imported={format: ctm, path: a.ctm}"]
    with pytest.raises(ConfigError, match=r"decode.mixtures needs mixtures that are trained here"):
        load_recipe(_recipe(tmp_path), overrides=overrides)


@pytest.mark.parametrize("text", ["train.epochs", "=3", "train..epochs=3"])
def test_malformed_override(text: str) -> None:
    with pytest.raises(ConfigError, match=r"malformed override; expected a.b=value"):
        parse_override(text)


def test_override_values_are_yaml() -> None:
    assert parse_override("a.b=[1, 2]") == {"a": {"b": [1, 2]}}
    assert parse_override("a=null") == {"a": None}


def test_unknown_recipe_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r'no recipe "nope".*fsdd.*quickstart.*speechocean762.*yesno'):
        find_recipe("nope")
    with pytest.raises(ConfigError, match=r"; did you mean fsdd\?$"):
        find_recipe("fssd")


@pytest.mark.parametrize("folder", known_recipes(), ids=lambda folder: folder.name)
def test_every_recipe_loads_in_every_profile(folder: Path) -> None:
    for profile in ("default", "smoke"):
        recipe = load_any_recipe(folder, profile)
        assert recipe.name == folder.name
        assert recipe.description
        if isinstance(recipe, Recipe):
            assert len(recipe.teacher_nets()) >= 2


def test_kind_chooses_the_settings(tmp_path: Path) -> None:
    images = "kind: images\nname: mine\ncorpus: {module: mnist}\nstudents:\n  - {name: plain, unit: 3}\n"
    with pytest.raises(ConfigError, match=r'recipe.yaml:4: unknown setting "students.0.unit"'):
        load_any_recipe(_recipe(tmp_path, images))
    recipe = load_any_recipe(_recipe(tmp_path, images.replace(", unit: 3", "")), overrides=["count=2"])
    assert recipe.kind == "images"
    with pytest.raises(ConfigError, match="a recipe of another kind; expected kind speech, got images"):
        load_recipe(tmp_path, overrides=["students=[]"])
    with pytest.raises(ConfigError, match='unknown kind "video"; expected one of speech, images'):
        load_any_recipe(_recipe(tmp_path, images.replace("images", "video")))


def test_students_begin_with_the_teachers_that_have_their_net(tmp_path: Path) -> None:
    variants = (
        "[{model: {options: {units: 99}}}, {model: {options: {dropout: 0.7}}}, {window: {left: 1, right: 1}}]"
    )
    recipe = load_recipe(
        _recipe(tmp_path),
        overrides=["teachers.count=5", f"teachers.variants={variants}", "student.start=teacher"],
    )
    assert recipe.student_starts() == [1, 4]
    assert load_recipe(tmp_path, overrides=["teachers.count=5"]).student_starts() == []


def test_the_control_has_as_many_updates_as_the_student(tmp_path: Path) -> None:
    overrides = ["train.batch_size=512", "student.train={epochs: 7, batch_size: 128}"]
    (net,) = load_recipe(_recipe(tmp_path), overrides=overrides).control_nets()
    assert (net.train.epochs, net.train.batch_size) == (7, 128)


def test_updates_that_made_the_starting_teacher_are_the_controls_too(tmp_path: Path) -> None:
    folder = _recipe(tmp_path)
    for start, epochs in (("random", 7), ("teacher", 12)):
        overrides = ["train.epochs=5", "student.train.epochs=7", f"student.start={start}"]
        recipe = load_recipe(folder, overrides=overrides)
        assert {net.train.epochs for net in recipe.control_nets()} == {epochs}


def test_the_control_has_the_updates_of_a_teacher_with_epochs_of_its_own(tmp_path: Path) -> None:
    variants = "teachers.variants=[{train: {epochs: 9}}, {window: {left: 1, right: 1}, train: {epochs: 99}}]"
    overrides = ["train.epochs=5", "student.train.epochs=7", "student.start=teacher", variants]
    recipe = load_recipe(_recipe(tmp_path), overrides=overrides)
    assert {net.train.epochs for net in recipe.control_nets()} == {16}


def test_students_of_images_begin_with_no_teachers_weights(tmp_path: Path) -> None:
    images = (
        "kind: images\nname: mine\ncorpus: {module: mnist}\nstudents:\n  - {name: plain, start: teacher}\n"
    )
    with pytest.raises(ConfigError, match="start: teacher is for students of the teachers' size"):
        load_any_recipe(_recipe(tmp_path, images))


def test_a_net_changes_a_part_of_the_recipes_masks(tmp_path: Path) -> None:
    overrides = ["train.masks={max_freq_width: 20}", "student.train.masks={probability: 1}"]
    masks = load_recipe(_recipe(tmp_path), overrides=overrides).student_net().train.masks
    assert masks is not None
    assert (masks.probability, masks.max_freq_width) == (1, 20)
    without = load_recipe(tmp_path, overrides=["train.masks={}", "student.train.masks=null"])
    assert without.student_net().train.masks is None
    assert without.baseline_nets()[0].train.masks is not None
