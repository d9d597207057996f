"""Settings that contradict each other were refused only once teachers had been trained and had labelled."""

from __future__ import annotations

from pathlib import Path

import pytest

from asr_kd.cli import main
from asr_kd.config import load_recipe
from asr_kd.errors import ConfigError, ShardError
from tests.support.tones import tones_pipeline, tones_recipe

DENSE = "ensemble.code={name: dense}"
RENORMALISED = "ensemble.code={name: topk, tail: renormalise}"
AT_TWICE_T = "ensemble.code={name: topk, powers: [0.5]}"
FOLDS = "teachers.folds={count: 2, by: utterance}"
WEIGHTED = "ensemble.averaging=weighted"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["student.teachers=1"], r"^student\.teachers: .*mean alone is stored.*keep_apart"),
        (
            ["student.teachers=3", "ensemble.keep_apart=true"],
            r"^student\.teachers: no such choice of teachers; expected of 1 to 2, got 3",
        ),
        (["student.teachers=0", "ensemble.keep_apart=true"], "no such choice of teachers"),
        (
            [
                "student.teachers=1",
                "ensemble.keep_apart=true",
                RENORMALISED,
            ],
            r"^student\.teachers: .*unknown with tail: renormalise",
        ),
        (
            ["student.temperature=4", DENSE],
            r"^student\.temperature: .*the arithmetic mean of 2 teachers.*expected 2\.0, got 4\.0",
        ),
        (["student.temperature=4", "teachers.count=1"], r"^student\.temperature: .*tails are not stored"),
        (["student.loss=logit_matching"], r"^student\.loss: .*the code threshold does not keep"),
        (["student.loss=logit_matching", DENSE], r"^student\.loss: .*arithmetic mean of 2 teachers"),
    ],
)
def test_a_student_of_what_will_not_be_stored(tmp_path: Path, settings: list[str], message: str) -> None:
    with pytest.raises(ShardError, match=message):
        tones_pipeline(tmp_path, tmp_path / "work", *settings)
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize(
    "settings",
    [
        ["student.temperature=2"],
        ["student.temperature=4", "teachers.count=1", DENSE],
        [
            "student.temperature=4",
            "ensemble.averaging=geometric",
            AT_TWICE_T,
        ],
        ["student.temperature=4", WEIGHTED, "ensemble.weights=[1, 0]", DENSE],
        ["student.temperature=4", "student.teachers=[2]", "ensemble.keep_apart=true", DENSE],
        ["student.loss=logit_matching", "ensemble.averaging=geometric", DENSE],
        # Which code there will be is not known yet.
        ["student.loss=logit_matching", "teachers.count=1", "ensemble.budget={max_divergence: 0.01}"],
        ["student.teachers=2", "ensemble.keep_apart=true"],
        [WEIGHTED, "ensemble.weights=[1, 0.5]", FOLDS],
        [WEIGHTED, "ensemble.weights=dev_accuracy", FOLDS],
        ["views={count: 1, augment: {noise_kinds: [pink, given], noise_probability: 0}}"],
    ],
)
def test_a_student_of_what_will_be_stored(tmp_path: Path, settings: list[str]) -> None:
    assert tones_pipeline(tmp_path, tmp_path / "work", *settings).stages


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ([WEIGHTED, "ensemble.weights=[1, 0]", FOLDS], r"ensemble\.weights .*\(2\): .*got \[0\.0\]"),
        ([WEIGHTED, "ensemble.weights=[0, 0]"], r"ensemble\.weights .*\(1, 2\): weighted averaging needs"),
        ([WEIGHTED, "ensemble.weights=[2, -1]"], r"ensemble\.weights .*\(1, 2\): weighted averaging needs"),
        (["views={count: 1, augment: {noise_kinds: [given]}}"], r"--set views.*noise_kinds: .*white, pink"),
    ],
)
def test_settings_that_no_run_could_follow(tmp_path: Path, settings: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_recipe(tones_recipe(tmp_path), overrides=settings)


def test_the_settings_of_other_shards_are_read(tmp_path: Path) -> None:
    """``train-student`` takes the student of a recipe whose own shards could not serve it."""
    recipe = load_recipe(tones_recipe(tmp_path), overrides=["student.loss=logit_matching"])
    assert recipe.student.loss == "logit_matching"


def test_the_command_line_names_the_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["asr-kd", "run", str(tones_recipe(tmp_path / "recipe")), "--work", str(tmp_path / "work")]
    monkeypatch.setattr("sys.argv", [*command, "--set", "student.temperature=4"])
    with pytest.raises(SystemExit, match="1"):
        main()
    assert capsys.readouterr().err.startswith("error: student.temperature: ")
