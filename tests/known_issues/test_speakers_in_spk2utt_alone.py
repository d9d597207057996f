"""A Kaldi directory with spk2utt and without utt2spk made every utterance a speaker of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr_kd.data.kaldi_dir import read_kaldi_dir
from asr_kd.errors import ManifestError
from data_prep.kaldi import Options


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    soundfile.write(tmp_path / "a.wav", np.full(800, 0.1), 8000)
    (tmp_path / "wav.scp").write_text("".join(f"u{number} a.wav\n" for number in range(3)))
    return tmp_path


def test_speakers_are_those_of_spk2utt(folder: Path) -> None:
    (folder / "spk2utt").write_text("anna u0 u2\nbert u1\n")
    assert [row.speaker for row in read_kaldi_dir(folder)] == ["anna", "bert", "anna"]


def test_utt2spk_comes_first(folder: Path) -> None:
    (folder / "spk2utt").write_text("anna u0 u2\nbert u1\n")
    (folder / "utt2spk").write_text("u0 carl\nu1 carl\nu2 carl\n")
    assert {row.speaker for row in read_kaldi_dir(folder)} == {"carl"}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("anna u0 u1\nbert u1 u2\n", r'spk2utt:2: "u1" is there twice; got also in .*spk2utt:1'),
        ("anna u0 u1\n", r"spk2utt: 1 utterance \(u2\) without a speaker"),
    ],
)
def test_a_table_that_cannot_be_right_is_refused(folder: Path, table: str, message: str) -> None:
    (folder / "spk2utt").write_text(table)
    with pytest.raises(ManifestError, match=message):
        read_kaldi_dir(folder)


def test_a_work_folder_depends_on_the_table_that_is_read(tmp_path: Path) -> None:
    train = tmp_path / "train"
    train.mkdir()
    (train / "spk2utt").write_text("anna u0\n")
    assert train / "spk2utt" in Options().files_read(tmp_path)
    (train / "utt2spk").write_text("u0 anna\n")
    assert train / "spk2utt" not in Options().files_read(tmp_path)
    assert train / "utt2spk" in Options().files_read(tmp_path)
