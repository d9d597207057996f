"""Folders of audio with transcripts beside, and the choice between kinds of sources."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr_kd.data.audio_folder import read_audio_folder, read_audio_source
from asr_kd.data.manifest import Utterance, write_manifest
from asr_kd.errors import ManifestError


def add(folder: Path, name: str, **transcripts: str) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.zeros((400, 2)), 8000)
    for suffix, text in transcripts.items():
        path.with_suffix(f".{suffix}").write_text(text, encoding="utf-8")


def test_every_kind_of_transcript(tmp_path: Path) -> None:
    add(tmp_path, "anna/one.wav", txt="HELLO\n WORLD \n")
    add(tmp_path, "anna/two words.flac", trn="SO IT IS (anna-two)\n")
    add(tmp_path, "ben/three.ogg", trn="ÜBER DIE BRÜCKE")
    add(tmp_path, "four.mp3")
    add(tmp_path, "ben/five.WAV")
    (tmp_path / "all.trn").write_text("FOUR IT IS (four)\n\nAND (YES) FIVE (ben-five)\n")
    (tmp_path / "README.txt").write_text("about this folder")
    rows = {row.utt_id: row for row in read_audio_folder(tmp_path)}
    assert {utt_id: row.text for utt_id, row in rows.items()} == {
        "anna-one": "HELLO WORLD",
        "anna-two_words": "SO IT IS",
        "ben-five": "AND (YES) FIVE",
        "ben-three": "ÜBER DIE BRÜCKE",
        "four": "FOUR IT IS",
    }
    assert [rows[key].speaker for key in ("anna-one", "ben-three", "four")] == ["anna", "ben", "four"]
    assert (rows["anna-one"].num_samples, rows["anna-one"].sampling_rate) == (400, 8000)
    assert list(rows) == sorted(rows)


def test_two_transcripts_must_agree(tmp_path: Path) -> None:
    add(tmp_path, "a.wav", txt="THE SAME", trn="THE SAME (a)")
    assert read_audio_folder(tmp_path)[0].text == "THE SAME"
    (tmp_path / "a.txt").write_text("ANOTHER")
    with pytest.raises(ManifestError, match=r'a\.txt: the transcripts differ; got "ANOTHER", "THE SAME"'):
        read_audio_folder(tmp_path)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"b.wav": ""}, r"b\.wav: audio has no transcript; expected b\.txt or b\.trn beside it"),
        ({"b.txt": "LOST"}, r'b\.txt: 1 transcripts without audio, "b" the first'),
        ({"b.trn": "LOST (b)"}, r'b\.trn:1: 1 transcripts without audio, "b" the first'),
        ({"b.trn": "no id here"}, r"b\.trn:1: malformed line; expected words \(utt_id\)"),
        ({"b.trn": "X (b)\nY (b)"}, r'b\.trn:2: "b" is there twice'),
        ({"b.wav": "", "b.txt": " \n"}, r"b\.txt: the transcript is empty"),
        ({"a.flac": ""}, r'a\.wav: utt_id "a" is there twice'),
    ],
)
def test_what_does_not_fit_together_is_refused(tmp_path: Path, files: dict[str, str], message: str) -> None:
    add(tmp_path, "a.wav", txt="A")
    for name, text in files.items():
        if text:
            (tmp_path / name).write_text(text)
        else:
            add(tmp_path, name)
    with pytest.raises(ManifestError, match=message):
        read_audio_folder(tmp_path)


def test_a_source_is_a_manifest_or_a_folder(tmp_path: Path) -> None:
    add(tmp_path / "folder", "a.wav", txt="A")
    manifest = tmp_path / "m.jsonl"
    write_manifest(manifest, [Utterance("u", "s", "folder/a.wav", 400, 8000, "A")])
    assert read_audio_source(manifest)[0].audio == str(tmp_path / "folder" / "a.wav")
    assert read_audio_source(tmp_path / "folder")[0].utt_id == "a"
    with pytest.raises(ManifestError, match="no such file or folder; expected a manifest"):
        read_audio_source(tmp_path / "nothing")
    with pytest.raises(ManifestError, match="cannot be read as a set of utterances"):
        read_audio_source(tmp_path / "folder" / "a.wav")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ManifestError, match="no audio in the folder"):
        read_audio_source(tmp_path / "empty")
