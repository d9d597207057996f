"""The yesno corpus: the shared copy, the original layout, and folders that are something else."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from asr_kd.data.audio import load_utterance
from asr_kd.data.manifest import read_manifest
from asr_kd.errors import ConfigError, CorpusError
from data_prep.yesno import Options, prepare

NAMES = ["_".join(digits) for digits in itertools.islice(itertools.product("01", repeat=8), 0, 240, 4)]


@pytest.fixture
def original(tmp_path: Path, make_wav: Callable[..., Path]) -> Path:
    """The archive's layout: waves_yesno with 60 WAV files and two READMEs."""
    folder = tmp_path / "corpus" / "waves_yesno"
    for name in NAMES:
        make_wav(folder / f"{name}.wav")
    (folder / "README").write_text("about")
    (folder / "README~").write_text("about")
    return folder.parent


def test_the_original_layout(original: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    prepared = prepare(original, out, Options(num_dev=5))
    rows = {split: read_manifest(out / f"{split}.jsonl") for split in ("train", "dev", "test")}
    assert {split: len(part) for split, part in rows.items()} == {"train": 26, "dev": 5, "test": 29}
    assert [row.utt_id for row in rows["test"]] == [f"yesno-{name}" for name in NAMES[31:]]
    train_and_dev = sorted(row.utt_id for row in rows["train"] + rows["dev"])
    assert train_and_dev == [f"yesno-{name}" for name in NAMES[:31]]
    dev_places = [train_and_dev.index(row.utt_id) for row in rows["dev"]]
    assert dev_places == [3, 9, 15, 21, 27]
    assert rows["test"][0].utt_id == "yesno-0_1_1_1_1_1_0_0"
    assert rows["test"][0].text == "NO YES YES YES YES YES NO NO"
    assert load_utterance(rows["test"][0]).num_samples == 2400
    assert prepared.summary["splits"]["test"]["words"] == 29 * 8
    assert prepared.summary["speakers_disjoint"] is False


def test_the_files_beside_the_manifests(original: Path, tmp_path: Path) -> None:
    prepare(original / "waves_yesno", tmp_path, Options())
    assert (tmp_path / "lexicon.txt").read_text() == "NO L O\nYES K E N\n"
    lines = (tmp_path / "lm_text.txt").read_text().splitlines()
    assert lines == [row.text for row in read_manifest(tmp_path / "train.jsonl")]
    assert json.loads((tmp_path / "corpus.json").read_text())["source"] == "OpenSLR SLR1"


def test_whole_words_as_phones(original: Path, tmp_path: Path) -> None:
    prepare(original, tmp_path, Options(lexicon="words"))
    assert (tmp_path / "lexicon.txt").read_text() == "NO NO\nYES YES\n"


def test_the_shared_copy(shared_data: Path, tmp_path: Path) -> None:
    prepared = prepare(shared_data / "yesno", tmp_path, Options())
    assert {split: len(rows) for split, rows in prepared.splits.items()} == {
        "train": 25,
        "dev": 6,
        "test": 29,
    }
    assert all(row.sampling_rate == 8000 and 3 < row.duration < 9 for row in prepared.splits["test"])


def test_other_folders_are_refused(original: Path, tmp_path: Path, make_wav: Callable[..., Path]) -> None:
    with pytest.raises(CorpusError, match="no such corpus folder"):
        prepare(tmp_path / "nowhere", tmp_path, Options())
    with pytest.raises(CorpusError, match="is a file, not a corpus folder"):
        prepare(original / "waves_yesno" / "README", tmp_path, Options())
    with pytest.raises(CorpusError, match=r"not yesno; expected 60 recordings .*got 0 recordings"):
        prepare(tmp_path, tmp_path, Options())
    extra = make_wav(original / "waves_yesno" / "7_george_1.wav")
    with pytest.raises(CorpusError, match=r'got "7_george_1\.wav"'):
        prepare(original, tmp_path, Options())
    extra.unlink()
    (original / "waves_yesno" / f"{NAMES[5]}.wav").unlink()
    with pytest.raises(CorpusError, match="got 59 recordings"):
        prepare(original, tmp_path, Options())
    assert not (tmp_path / "train.jsonl").exists()


def test_without_corpus_and_network_both_ways_are_named(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"yesno cannot be downloaded.*--corpus DIR.*network"):
        prepare(None, tmp_path, Options())


def test_options_are_checked(original: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match="num_dev leaves nothing to train on; expected fewer than 31, got 31"
    ):
        prepare(original, tmp_path, Options(num_dev=31))
    with pytest.raises(ValidationError):
        Options(num_devs=3)
