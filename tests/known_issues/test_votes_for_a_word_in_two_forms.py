"""``combine`` took a word in two forms of Unicode for two words, and systems that agreed were outvoted."""

from __future__ import annotations

import unicodedata
from pathlib import Path

from asr_kd.cli.score_commands import combine
from asr_kd.score.text_files import read_text_file
from asr_kd.score.wer import score

WORD = "café"


def _hypothesis(path: Path, form: str, word: str) -> Path:
    path.write_text(unicodedata.normalize(form, f"u1 le {word} noir\n"), encoding="utf-8")
    return path


def test_count_together(tmp_path: Path) -> None:
    systems = [
        _hypothesis(tmp_path / "first.txt", "NFC", "gage"),
        _hypothesis(tmp_path / "composed.txt", "NFC", WORD),
        _hypothesis(tmp_path / "decomposed.txt", "NFD", WORD),
    ]
    contents = [path.read_bytes() for path in systems]
    assert len(set(contents)) == len(systems), "the forms differ in their bytes"
    combine(systems, tmp_path / "voted.txt")
    assert score({"u1": f"le {WORD} noir"}, read_text_file(tmp_path / "voted.txt")).num_errors == 0


def test_that_differ_in_their_accent_stay_apart(tmp_path: Path) -> None:
    systems = [_hypothesis(tmp_path / f"{form}.txt", form, WORD) for form in ("NFC", "NFD")]
    plain = _hypothesis(tmp_path / "plain.txt", "NFC", "cafe")
    combine([plain, *systems], tmp_path / "voted.trn")
    assert read_text_file(tmp_path / "voted.trn") == {"u1": f"le {WORD} noir"}
