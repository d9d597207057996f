"""A manifest in another coding gave a traceback, and one with a line separator in a text no JSON object."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from asr_kd.data.manifest import Utterance, read_manifest
from asr_kd.errors import ManifestError

ROWS: list[dict[str, Any]] = [
    {"utt_id": name, "speaker": "s", "audio": "/a.wav", "num_samples": 8, "sampling_rate": 8000, "text": text}
    for name, text in (("u1", "für\u2028elise"), ("u2", "for\x85therese"))
]


def _manifest(folder: Path, rows: list[dict[str, Any]], coding: str, end: str = "\n") -> Path:
    path = folder / "corpus.jsonl"
    path.write_bytes("".join(json.dumps(row, ensure_ascii=False) + end for row in rows).encode(coding))
    return path


@pytest.mark.parametrize("coding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_rows_end_where_json_lines_do(tmp_path: Path, coding: str, end: str) -> None:
    assert read_manifest(_manifest(tmp_path, ROWS, coding, end)) == [Utterance(**row) for row in ROWS]


def test_another_coding_is_named(tmp_path: Path) -> None:
    path = _manifest(tmp_path, [ROWS[0] | {"text": "für"}], "latin-1")
    with pytest.raises(ManifestError, match=r"corpus\.jsonl: not UTF-8 \(invalid .*\); convert the file"):
        read_manifest(path)
