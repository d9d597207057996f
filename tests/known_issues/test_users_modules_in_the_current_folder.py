"""The installed command found no corpus module in the folder it was started in, and said to start there."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from asr_kd.cli import main
from tests.support.tones import tones_recipe

CORPUS = """
from asr_kd.errors import CorpusError
from data_prep.common import CorpusOptions

class Options(CorpusOptions):
    pass

def prepare(corpus, out, options):
    raise CorpusError("the user's own module was called")
"""


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a recipe's folder with a package beside it; ``sys.path`` is that of an installed command."""
    folder = tones_recipe(tmp_path / "recipe")
    file = folder / "recipe.yaml"
    file.write_text(file.read_text().replace("tests.support.tone_corpus", "package_here.corpus_here"))
    (folder / "package_here").mkdir()
    (folder / "package_here" / "corpus_here.py").write_text(CORPUS)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry not in ("", os.getcwd())])
    for name in ("package_here.corpus_here", "package_here"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return folder


def _prepare(recipe: Path, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["run", str(recipe), "--work", str(work), "--to-stage", "prepare"]
    monkeypatch.setattr(sys, "argv", ["asr-kd", *arguments])
    with pytest.raises(SystemExit, match="1"):
        main()


def test_a_corpus_module_of_the_current_folder_is_found_behind_all_that_is_installed(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(recipe)
    _prepare(recipe, tmp_path / "work", monkeypatch)
    assert "the user's own module was called" in capsys.readouterr().err
    assert sys.path[-1] == str(recipe)


def test_from_another_folder_it_is_not_found(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    _prepare(recipe, tmp_path / "work", monkeypatch)
    assert "No module named 'package_here'); start in the folder that holds it" in capsys.readouterr().err
