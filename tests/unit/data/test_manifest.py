"""Manifests: rows, their checks and the errors with line numbers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from asr_kd.data.manifest import Utterance, read_manifest, write_manifest
from asr_kd.errors import ManifestError

ROW = {"utt_id": "b", "speaker": "s", "audio": "x/b.flac", "num_samples": 16000, "sampling_rate": 16000}


def write_rows(path: Path, *rows: object) -> Path:
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows) + "\n")
    return path


def test_written_rows_come_back_sorted_with_audio_below_the_manifests_folder(tmp_path: Path) -> None:
    rows = [Utterance("b", "s", "x/b.flac", 8000, 16000, "ÄH A"), Utterance("a", "s", "/abs/a.wav", 10, 5)]
    write_manifest(tmp_path / "m.jsonl", rows)
    back = read_manifest(tmp_path / "m.jsonl")
    assert [row.utt_id for row in back] == ["a", "b"]
    assert back[0] == rows[1]
    assert back[1].audio == str(tmp_path / "x" / "b.flac")
    assert (back[1].words, back[1].duration, back[1].num_frames(0.01)) == (["ÄH", "A"], 0.5, 50)
    assert (back[0].words, back[0].text) == ([], None)


def test_blank_lines_are_skipped_and_web_addresses_kept(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "m.jsonl", "", {**ROW, "audio": "http://h/b.flac"}, "  ")
    assert read_manifest(path)[0].audio == "http://h/b.flac"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{not json", "not a JSON object"),
        ("[1, 2]", "not a JSON object; expected"),
        ({**ROW, "utt_id": "a"}, r'utt_id "a" is there twice; got the same id in line 1'),
        ({key: ROW[key] for key in ROW if key != "speaker"}, r"fields missing: \['speaker'\]"),
        ({**ROW, "txt": "A"}, r"unknown fields: \['txt'\]"),
        ({**ROW, "num_samples": "16000"}, 'field "num_samples" has the wrong type'),
        ({**ROW, "num_samples": 1.5}, 'field "num_samples" has the wrong type'),
        ({**ROW, "sampling_rate": True}, 'field "sampling_rate" has the wrong type'),
        ({**ROW, "text": 5}, 'field "text" has the wrong type'),
        ({**ROW, "text": " "}, 'utterance "b" has an empty transcript'),
        ({**ROW, "num_samples": 0}, 'utterance "b" has no audio'),
        ({**ROW, "sampling_rate": -1}, 'utterance "b" has no audio'),
        ({**ROW, "utt_id": "b c"}, "utt_id is empty or has blanks"),
        ({**ROW, "utt_id": ""}, "utt_id is empty or has blanks"),
    ],
)
def test_a_bad_row_is_refused_with_its_line(tmp_path: Path, row: object, message: str) -> None:
    path = write_rows(tmp_path / "m.jsonl", {**ROW, "utt_id": "a"}, row)
    with pytest.raises(ManifestError, match=rf"m\.jsonl:2: .*{message}"):
        read_manifest(path)


def test_missing_and_empty_manifests_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="no such manifest"):
        read_manifest(tmp_path / "m.jsonl")
    (tmp_path / "m.jsonl").write_text("\n")
    with pytest.raises(ManifestError, match="the manifest is empty"):
        read_manifest(tmp_path / "m.jsonl")


@pytest.mark.parametrize(
    "rows",
    [
        [Utterance("a", "s", "a.wav", 1, 1), Utterance("a", "s", "b.wav", 1, 1)],
        [Utterance("a", "s", "a.wav", 0, 1)],
        [Utterance("a", "s", "a.wav", 1, 1, "")],
    ],
)
def test_bad_rows_are_not_written(tmp_path: Path, rows: list[Utterance]) -> None:
    with pytest.raises(ManifestError):
        write_manifest(tmp_path / "m.jsonl", rows)
    assert list(tmp_path.iterdir()) == []
