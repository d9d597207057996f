"""Corpora as people have them were misread without a word, or refused with an error that did not say why."""

from __future__ import annotations

import ssl
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr_kd.data.audio import load_audio
from asr_kd.data.kaldi_dir import read_kaldi_dir, read_table
from asr_kd.data.kaldi_pipes import PipeReader
from asr_kd.data.manifest import Utterance
from asr_kd.errors import CorpusError, ManifestError
from data_prep import download as downloads
from data_prep import timit
from data_prep.commonvoice import Options, prepare
from data_prep.lexicons import read_pronunciations
from data_prep.words import lexicon_of
from tests.support.original_layouts import make_commonvoice, make_timit

MARK = "\ufeff"


def _call(folder: Path, *segments: str) -> Path:
    """Write a Kaldi directory of a recording with two channels."""
    soundfile.write(folder / "call.wav", np.tile([0.5, -0.5], (8000, 1)), 8000)
    (folder / "wav.scp").write_text("call call.wav\n")
    (folder / "segments").write_text("".join(f"{line}\n" for line in segments))
    return folder


@pytest.mark.parametrize("channel", ["0", "1"])
def test_a_segment_of_a_channel_was_given_the_mean_of_both(tmp_path: Path, channel: str) -> None:
    with pytest.raises(ManifestError, match=r"segments:1: the segment is of one of several channels"):
        read_kaldi_dir(_call(tmp_path, f"u1 call 0 1 {channel}"))


def test_a_segment_of_all_channels_is_taken(tmp_path: Path) -> None:
    assert [row.utt_id for row in read_kaldi_dir(_call(tmp_path, "u1 call 0 0.5", "u2 call 0.5 1 -1"))] == [
        "u1",
        "u2",
    ]


@pytest.mark.parametrize("segment", ["u1 call nan 1", "u1 call 0 inf", "u1 call 0 1 0 0"])
def test_times_that_are_none_gave_a_bare_error(tmp_path: Path, segment: str) -> None:
    with pytest.raises(ManifestError, match="malformed segment"):
        read_kaldi_dir(_call(tmp_path, segment))


def test_a_loud_recording_of_a_command_ended_the_preparation(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "loud.wav", np.full(8000, 1.3), 8000, subtype="FLOAT")
    path = PipeReader(tmp_path, tmp_path)("r", "cat loud.wav |", "wav.scp:1")
    assert float(load_audio(path).samples.max()) == pytest.approx(1.0, abs=1e-3)


def test_a_byte_order_mark_belonged_to_the_first_word(tmp_path: Path) -> None:
    for name in ("text", "lexicon.txt"):
        (tmp_path / name).write_text(f"{MARK}a A\n", encoding="utf-8")
    assert read_table(tmp_path / "text") == {"a": "A"}
    assert read_pronunciations(tmp_path / "lexicon.txt") == [("a", ("A",))]


def test_a_lexicon_in_decomposed_letters_knew_no_word_with_an_accent(tmp_path: Path) -> None:
    word = unicodedata.normalize("NFC", "für")
    (tmp_path / "l.txt").write_text(
        f"{unicodedata.normalize('NFD', word)} F Y R\nein AI N\n", encoding="utf-8"
    )
    rows = [Utterance("u", "s", "a.wav", 1, 8000, f"{word} ein")]
    assert lexicon_of("l.txt", {"train": rows}, tmp_path) == [(word, ("F", "Y", "R")), ("ein", ("AI", "N"))]


def test_a_release_without_a_column_was_called_a_wrong_folder(tmp_path: Path) -> None:
    root = make_commonvoice(tmp_path)
    path = root / "dev.tsv"
    path.write_text(path.read_text().replace("accents\tvariant", "accent\tx"))
    with pytest.raises(CorpusError, match=r"dev\.tsv: the table lacks accents, variant; .* later release"):
        prepare(root, tmp_path / "out", Options())


def test_a_copy_of_timit_with_wav_beside_sphere_was_called_incomplete(tmp_path: Path) -> None:
    corpus = make_timit(tmp_path)
    for path in list(corpus.rglob("*.WAV")):
        path.with_name(f"{path.name}.wav").write_bytes(path.read_bytes())
    timit.prepare(corpus, tmp_path / "out", timit.Options())
    with pytest.raises(CorpusError, match="no such corpus folder"):
        timit.prepare(tmp_path / "nowhere", tmp_path / "out", timit.Options())


def test_a_download_that_tls_broke_off_was_not_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []

    def breaks_off(url: str, part: Path) -> None:
        tries.append(url)
        if len(tries) < 2:
            raise ssl.SSLEOFError(8, "EOF occurred in violation of protocol")
        part.write_text("whole")

    monkeypatch.setattr(downloads, "_download_rest", breaks_off)
    downloads.download("https://a.example/b", tmp_path / "b")
    assert (tmp_path / "b").read_text() == "whole"
