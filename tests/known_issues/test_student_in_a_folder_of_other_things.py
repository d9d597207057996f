"""``train-student --out DIR`` removed what was in DIR without a word; ``--out .`` failed in the end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from asr_kd.am.checkpoint import read_card
from asr_kd.cli import main
from asr_kd.config import load_recipe
from asr_kd.distill.shard_writer import ShardSetWriter
from tests.support import shard_sets
from tests.support.tones import tones_recipe

Train = Callable[..., str]


@pytest.fixture
def train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Train:
    """Return a function that runs ``train-student`` on small shards and returns what it said in the end."""
    recipe, shards = tones_recipe(tmp_path / "recipe"), tmp_path / "shards"
    features = load_recipe(recipe).student_net().features
    card = features.card(features.load(recipe))
    frontend = card.model_dump(mode="json")
    facts = shard_sets.facts(frontend=frontend, cmvn=card.cmvn, feature_dim=card.dim)
    with ShardSetWriter(shards, facts) as writer:
        for split in ("train", "dev"):
            _, pdf_ids, log_q = shard_sets.utterance(1, "u.2")
            writer.add(split, f"{split}.1", pdf_ids[:, None].float().repeat(1, card.dim), pdf_ids, log_q)
        writer.finish()

    def run(out: str | Path, seed: int = 1) -> str:
        command = ["asr-kd", "train-student", str(shards), "--recipe", str(recipe), "--seed", str(seed)]
        options = ["--out", str(out), "--set", "student.train.epochs=1"]
        monkeypatch.setattr("sys.argv", [*command, *options])
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr()
        return (said.err if end.value.code else said.out).splitlines()[-1]

    return run


def _contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_is_in_the_folder_stays(tmp_path: Path, train: Train) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.txt").write_text("precious")
    line = train(out)
    assert line.startswith(f"error: {out}: ")
    assert "got a folder with thesis.txt; name another folder" in line
    assert (out / "thesis.txt").read_text() == "precious"
    assert not list(tmp_path.glob("*-training-*"))
    assert "got a file;" in train(out / "thesis.txt")
    assert (out / "thesis.txt").read_text() == "precious"


def test_so_does_a_student_of_other_settings(tmp_path: Path, train: Train) -> None:
    out = tmp_path / "out"
    assert train(out, seed=1).endswith(f"model in {out}")
    before = _contents(out)
    assert "a model that was trained otherwise" in train(out, seed=2)
    assert train(out, seed=1).endswith(f"model in {out}")
    assert _contents(out) == before


def test_an_empty_folder_is_taken(tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    out, link = tmp_path / "out", tmp_path / "link"
    out.mkdir()
    link.symlink_to(out)
    train(link)
    assert read_card(out).provenance["seed"] == 1
    assert link.is_symlink()
    monkeypatch.chdir(out)
    assert train(".").endswith("model in .")


def test_a_folder_that_somebody_is_in_is_not_replaced(
    tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert "got the folder that this command was given in" in train(".")
