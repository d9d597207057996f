"""Wrong recipes and settings gave a traceback, were passed over, or were refused only after the training."""

from __future__ import annotations

from pathlib import Path

import pytest

from asr_kd.cli import main
from asr_kd.config import find_recipe, load_recipe, parse_override
from asr_kd.errors import ConfigError
from tests.support.tones import tones_pipeline, tones_recipe


def test_another_file_beside_a_recipe_was_taken_for_it(tmp_path: Path) -> None:
    folder = tones_recipe(tmp_path)
    assert find_recipe(str(folder / "recipe.yaml")) == folder
    (folder / "big.yaml").write_text("name: big\n")
    with pytest.raises(ConfigError, match=r"big\.yaml: not a recipe; expected a file named recipe\.yaml"):
        find_recipe(str(folder / "big.yaml"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"name: \xff\xfe\n", "not a text in UTF-8"),
        (b"name: a\x00b\n", "not a text in UTF-8"),
        (b"name: a\nprofiles: [a]\n", "profiles: a profile is a mapping of settings; got list"),
        (b"name: a\nprofiles: {smoke: 3}\n", "smoke: a profile is a mapping of settings; got int"),
        (b"name: a\nkind: [1]\n", "unknown kind"),
    ],
)
def test_a_file_that_is_no_recipe(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "recipe.yaml").write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        load_recipe(tmp_path)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("decode.acoustic_scales=[0.3,0.1]", r"--set decode\.acoustic_scales.*rising values"),
        ("decode.acoustic_scales=[]", r"--set decode\.acoustic_scales.*one or more"),
        ("corpus.limit.train=0", r"corpus\.limit\.train.*greater than or equal to 1"),
    ],
)
def test_a_wrong_value_is_refused_before_anything_runs(tmp_path: Path, setting: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_recipe(tones_recipe(tmp_path), overrides=[setting])


def test_a_limit_of_a_split_that_is_not_there(tmp_path: Path) -> None:
    pipeline = tones_pipeline(tmp_path, tmp_path / "work", "corpus.limit.transfer=3")
    with pytest.raises(ConfigError, match=r"corpus\.limit\.transfer: the corpus has no such split"):
        pipeline.run(to_stage="prepare")


def test_an_option_is_named_as_it_was_typed() -> None:
    with pytest.raises(ConfigError, match="--option foo: malformed"):
        parse_override("foo", "--option")


def test_a_work_folder_that_is_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe, place = tones_recipe(tmp_path / "recipe"), tmp_path / "file"
    place.touch()
    monkeypatch.setattr("sys.argv", ["asr-kd", "run", str(recipe), "--work", str(place)])
    with pytest.raises(SystemExit, match="1"):
        main()
    assert f"error: {place}" in capsys.readouterr().err
