from __future__ import annotations

from pathlib import Path

import pytest

from asr_kd.cli.score_commands import combine
from asr_kd.errors import ScoringError
from asr_kd.score.text_files import read_text_file


def files(folder: Path, *contents: str) -> list[Path]:
    paths = [folder / f"{number}.txt" for number in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_text(content)
    return paths


def test_votes_are_counted_by_utterance(tmp_path: Path) -> None:
    systems = files(tmp_path, "u1 a b\nu2 c\n", "u1 a d\nu2\n", "u2\nu1 a d\n")
    combine(systems, tmp_path / "out.txt")
    assert read_text_file(tmp_path / "out.txt") == {"u1": "a d", "u2": ""}


def test_other_utterances(tmp_path: Path) -> None:
    with pytest.raises(ScoringError, match=r"1.txt: 2 utterances are not in both; got u1, u2"):
        combine(files(tmp_path, "u1 a\n", "u2 a\n"), tmp_path / "out.txt")


def test_one_system(tmp_path: Path) -> None:
    with pytest.raises(ScoringError, match="one system cannot be combined"):
        combine(files(tmp_path, "u1 a\n"), tmp_path / "out.txt")
