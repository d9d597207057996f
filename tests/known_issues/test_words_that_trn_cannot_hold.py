"""A ``.trn`` was written with words such as ``(u)`` and ``/`` and then refused; a first ``;;`` got lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from asr_kd.cli.app import app
from asr_kd.errors import ScoringError
from asr_kd.score.text_files import read_text_file, write_text_file


@pytest.mark.parametrize("text", ["x (u) b", "{", "a / b", "a }", "()", ";; a", ";;a"])
def test_are_refused_and_named_before_a_file_is_written(tmp_path: Path, text: str) -> None:
    message = r'v\.trn: word ".+" of utterance "u1" cannot be written; expected .*; write a \.txt file'
    with pytest.raises(ScoringError, match=message):
        write_text_file(tmp_path / "v.trn", {"u0": "a", "u1": text})
    assert not (tmp_path / "v.trn").exists()
    write_text_file(tmp_path / "v.txt", {"u1": text})
    assert read_text_file(tmp_path / "v.txt") == {"u1": text}


@pytest.mark.parametrize("text", ["f(x", "(u", "u)", "a;; ;;", "a/b", "{a}", "("])
def test_that_only_look_like_it_are_written_and_read(tmp_path: Path, text: str) -> None:
    write_text_file(tmp_path / "v.trn", {"u1": text})
    assert read_text_file(tmp_path / "v.trn") == {"u1": text}


def test_are_refused_by_combine(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("u1 x (u) b\n")
    command = ["combine", str(tmp_path / "a.txt"), str(tmp_path / "a.txt"), "--out", str(tmp_path / "v.trn")]
    with pytest.raises(ScoringError, match=r'word "\(u\)" of utterance "u1"'):
        CliRunner().invoke(app, command, catch_exceptions=False)
