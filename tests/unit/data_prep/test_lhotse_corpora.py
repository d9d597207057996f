"""Corpora that lhotse reads, in the originals' layouts, and what is refused in its manifests."""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from asr_kd.data.audio import load_utterance
from asr_kd.data.manifest import Utterance, read_manifest
from asr_kd.errors import AsrKdError, ConfigError, CorpusError, ManifestError
from data_prep import commonvoice, lhotse, librispeech, timit
from data_prep.words import plain_words
from tests.support.original_layouts import (
    TIMIT_CORE,
    make_commonvoice,
    make_mini_librispeech,
    make_timit,
    write_noise,
)


def texts(folder: Path, split: str) -> dict[str, str | None]:
    return {row.utt_id: row.text for row in read_manifest(folder / f"{split}.jsonl")}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def test_mini_librispeech(tmp_path: Path, out: Path) -> None:
    root = make_mini_librispeech(tmp_path)
    prepared = librispeech.prepare(root, out, librispeech.Options(size="mini"))
    train = texts(out, "train")
    # QUUX is not in the lexicon, which is the prepare stage's business.
    assert [text for text in train.values() if "QUUX" in text] == [train.pop("2136-134315-0001")]
    assert train == {
        "1088-134315-0000": "THE CAT",
        "1088-134315-0001": "A CAT",
        "2136-134315-0000": "THE HAT",
    }
    held_out = {split: {row.speaker for row in prepared.splits[split]} for split in ("dev", "test")}
    assert sorted(map(sorted, held_out.values())) == [["1272"], ["6313"]]
    assert (out / "lexicon.txt").read_text() == "A AH\nA EY\nCAT K AE T\nHAT HH AE T\nTHE DH AH\n"
    row = prepared.splits["train"][0]
    assert row.audio == str(root / "train-clean-5" / "1088" / "134315" / "1088-134315-0000.flac")
    assert load_utterance(row).num_samples == 6400


def test_librispeech_from_the_folder_above_and_with_a_number_for_its_size(tmp_path: Path, out: Path) -> None:
    make_mini_librispeech(tmp_path)
    assert librispeech.Options.model_validate({"size": 960}).size == "960"
    with pytest.raises(
        CorpusError, match="not LibriSpeech; expected train-clean-100, got no train-clean-100"
    ):
        librispeech.prepare(tmp_path, out, librispeech.Options())


def test_missing_audio_of_librispeech_is_refused(tmp_path: Path, out: Path) -> None:
    root = make_mini_librispeech(tmp_path)
    (root / "dev-clean-2" / "6313" / "134315" / "6313-134315-0000.flac").unlink()
    with pytest.raises(CorpusError, match=r"left out 1 items; got No such file: .*6313-134315-0000\.flac"):
        librispeech.prepare(root, out, librispeech.Options(size="mini"))


@pytest.mark.parametrize("small_letters", [False, True])
def test_timit_core_set_without_sa_sentences(tmp_path: Path, out: Path, small_letters: bool) -> None:
    root = make_timit(tmp_path, small_letters=small_letters)
    prepared = timit.prepare(root, out, timit.Options())
    speakers = {split: sorted(row.speaker for row in rows) for split, rows in prepared.splits.items()}
    assert speakers["test"] == sorted(" ".join(TIMIT_CORE.values()).split())
    assert (speakers["train"], speakers["dev"]) == (["FCJF0", "MCPM0"], ["FAKS0", "MREB0"])
    # Folded to 48 phones by hand: q goes, axr is er, dcl is vcl.
    assert texts(out, "train")["FCJF0-SX37"] == "sil s ix er vcl d ao zh epi sil"
    classes = dict(line.split() for line in (out / "score_words.txt").read_text().splitlines())
    assert [classes[word] for word in ["sil", "ix", "er", "vcl", "ao", "zh", "epi", "el", "cl"]] == [
        "sil",
        "ih",
        "er",
        "sil",
        "aa",
        "sh",
        "sil",
        "l",
        "sil",
    ]
    assert (len(classes), len(set(classes.values()))) == (48, 39)
    lexicon = dict(line.split() for line in (out / "lexicon.txt").read_text().splitlines())
    assert lexicon["sil"] == "SIL"
    assert lexicon["vcl"] == "vcl"
    row = prepared.splits["train"][0]
    assert Path(row.audio).is_relative_to(root)
    assert load_utterance(row).num_samples == 11 * 600


def test_timit_in_39_phones(tmp_path: Path, out: Path) -> None:
    timit.prepare(make_timit(tmp_path), out, timit.Options(phones=39))
    assert texts(out, "train")["MCPM0-SX37"] == "sil s ih er sil d aa sh sil sil"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("TEST/DR1/MDAB0/SX37.PHN", r"MDAB0/SX37\.TXT: a sentence lacks \.PHN"),
        ("TEST/DR1/MDAB0", "the core test set is not whole; expected 24 speakers, got 23"),
        ("TRAIN", "the folder is not TIMIT; expected folders TRAIN and TEST"),
    ],
)
def test_what_timit_lacks_is_named(tmp_path: Path, out: Path, name: str, message: str) -> None:
    root = make_timit(tmp_path)
    (root / name).rename(tmp_path / "gone")
    with pytest.raises(CorpusError, match=message):
        timit.prepare(root, out, timit.Options())


def test_commonvoice_folders(tmp_path: Path, out: Path) -> None:
    root = make_commonvoice(tmp_path)
    (root.parent / "de").mkdir()
    (root.parent / "de" / "train.tsv").touch()
    with pytest.raises(ConfigError, match=r"several languages; expected one of cy, de.*options\.language"):
        commonvoice.prepare(root.parent, out, commonvoice.Options())
    with pytest.raises(CorpusError, match=r"not a language of Common Voice; .* got no clips, dev"):
        commonvoice.prepare(root.parent, out, commonvoice.Options(language="de"))
    with pytest.raises(CorpusError, match="not downloaded by itself"):
        commonvoice.prepare(None, out, commonvoice.Options())


def test_words_of_written_text() -> None:
    assert plain_words("“Mae’r tŷ'n goch”, – e-bost!", "lower") == "mae'r tŷ'n goch e-bost"
    assert plain_words(" As  it, is ", "as_is") == "As it, is"
    assert plain_words("straße 3", "upper") == "STRASSE 3"


@pytest.fixture
def manifests(tmp_path: Path) -> Path:
    """Folder of lhotse's manifests for train, dev and test, made with lhotse itself."""
    from lhotse import Recording, RecordingSet, SupervisionSegment, SupervisionSet

    for number, part in enumerate(("train", "dev", "test")):
        recording = Recording.from_file(write_noise(tmp_path / "audio" / f"{part}.wav", 2.0))
        segments = [
            SupervisionSegment(f"{part}-a", recording.id, 0.0, 0.5, text="Tea  to", speaker=f"s{number}"),
            SupervisionSegment(f"{part}-b", recording.id, 0.5, 1.5, text="eat", speaker=f"s{number}"),
        ]
        RecordingSet.from_recordings([recording]).to_file(tmp_path / f"toy_recordings_{part}.jsonl.gz")
        SupervisionSet.from_segments(segments).to_file(tmp_path / f"toy_supervisions_{part}.jsonl.gz")
    return tmp_path


def test_lhotse_manifests(manifests: Path, out: Path) -> None:
    prepared = lhotse.prepare(manifests, out, lhotse.Options(case="lower"))
    first, second = prepared.splits["train"]
    assert first == Utterance("train-a", "s0", str(manifests / "audio/train.wav"), 8000, 16000, "tea to", 0)
    assert second == replace(first, utt_id="train-b", num_samples=24000, text="eat", start_sample=8000)
    assert (out / "lexicon.txt").read_text() == "eat e a t\ntea t e a\nto t o\n"


def _change(manifests: Path, what: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the first row of a manifest of train, which becomes plain JSON lines."""
    path = manifests / f"toy_{what}_train.jsonl.gz"
    rows = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    change(rows[0])
    path.unlink()
    (manifests / f"toy_{what}_train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.mark.parametrize(
    ("what", "change", "message"),
    [
        (
            "recordings",
            lambda row: row["sources"][0].update(type="command", source="touch run"),
            'recording "train": the recording is not one local file; .* got command; commands are never run',
        ),
        (
            "recordings",
            lambda row: row["sources"][0].update(source="audio/x.wav"),
            "the audio file is missing",
        ),
        ("recordings", lambda row: row.update(id="other"), 'recording "train" is not in the recordings'),
        ("recordings", lambda row: row.update(sampling_rate=8000), "expected 8000 Hz, got 16000 Hz"),
        ("supervisions", lambda row: row.update(channel=1), "of one of several channels"),
        ("supervisions", lambda row: row.update(duration=9.0, start=0.1), "not within its recording"),
        ("supervisions", lambda row: row.update(id="train-b"), "there twice"),
        ("supervisions", lambda row: row.update(text=None), "1 of 2 utterances of train have no transcript"),
        ("supervisions", lambda row: row.pop("start"), "not lhotse's supervisions"),
    ],
)
def test_what_the_adapter_refuses(
    manifests: Path, out: Path, what: str, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    _change(manifests, what, change)
    with pytest.raises((ManifestError, CorpusError), match=message):
        lhotse.prepare(manifests, out, lhotse.Options())
    assert not (manifests / "run").exists()


def test_parts_that_are_not_there_are_named(manifests: Path, out: Path) -> None:
    with pytest.raises(
        CorpusError, match=r"\*recordings_eval\.json\*: no such manifest.*options\.train=\[PART\]"
    ):
        lhotse.prepare(manifests, out, lhotse.Options(test=("eval",)))


def test_without_lhotse_the_extra_is_named(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lhotse.recipes.timit", None)
    with pytest.raises(ConfigError, match=r"read by lhotse.*pip install 'asr-kd\[corpora\]'") as caught:
        timit.prepare(make_timit(tmp_path), out, timit.Options())
    assert isinstance(caught.value, AsrKdError)
