"""Kaldi's text and NIST's trn: what is read, written and refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from asr_kd.errors import ScoringError
from asr_kd.score.text_files import read_text_file, write_text_file


def test_kaldi_text_keeps_empty_utterances(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes("\ufeffu1 one  two\r\nu2\n\nu3 é\u2028f\n".encode())
    assert read_text_file(path) == {"u1": "one two", "u2": "", "u3": "é f"}


def test_trn_takes_the_last_parentheses(tmp_path: Path) -> None:
    path = tmp_path / "hyp.trn"
    path.write_text(";; made by hand\none two (spk-u1)\n(u2)\nf(x three ( u3 )\n", encoding="utf-8")
    assert read_text_file(path) == {"spk-u1": "one two", "u2": "", "u3": "f(x three"}


@pytest.mark.parametrize("name", ["text", "hyp.trn"])
def test_round_trip(tmp_path: Path, name: str) -> None:
    texts = {"u1": "one two", "u2": "", "ü3": "שלום"}
    write_text_file(tmp_path / name, texts)
    assert read_text_file(tmp_path / name) == texts


def test_written_form_by_hand(tmp_path: Path) -> None:
    write_text_file(tmp_path / "a", {"u1": "one two", "u2": ""})
    write_text_file(tmp_path / "a.trn", {"u1": "one two", "u2": ""})
    assert (tmp_path / "a").read_text() == "u1 one two\nu2\n"
    assert (tmp_path / "a.trn").read_text() == "one two (u1)\n(u2)\n"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("text", b"u1 a\nu2 b\nu1 c\n", r'text:3: utt_id "u1" is there twice'),
        ("text", b"u1 a\n two words\n", r"text:2: line begins with a blank"),
        ("text", b"u1 a\nu2 \xff\n", r"text:2: text is not UTF-8"),
        ("text", b"\n\n", r"text: the file holds no utterance"),
        ("h.trn", b"a (u1)\nb\n", r"h.trn:2: line does not end with an utt_id"),
        ("h.trn", b"a ()\n", r"h.trn:1: line does not end with an utt_id"),
        ("h.trn", b"{ a / b } (u1)\n", r"h.trn:1: alternatives and optional words"),
        ("h.trn", b"a (uh) (u1)\n", r"h.trn:1: alternatives and optional words"),
    ],
)
def test_malformed_files_are_refused_with_their_line(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ScoringError, match=message):
        read_text_file(tmp_path / name)


def test_missing_file_and_impossible_ids_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ScoringError, match="no such file"):
        read_text_file(tmp_path / "nowhere")
    with pytest.raises(ScoringError, match='utt_id "a b" cannot be written'):
        write_text_file(tmp_path / "text", {"a b": "x"})
    with pytest.raises(ScoringError, match=r'utt_id "a\(1\)" cannot be written'):
        write_text_file(tmp_path / "x.trn", {"a(1)": "x"})
    assert list(tmp_path.iterdir()) == []
