"""A CTM, an STM and a manifest were read as Kaldi text: each time and confidence was scored as a word."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from asr_kd.cli.app import app
from asr_kd.data.manifest import Utterance, write_manifest
from asr_kd.errors import AsrKdError, ManifestError, ScoringError
from asr_kd.score.text_files import read_text_file, write_text_file

# As ``asr-kd transcribe --ctm`` writes it, but for the order of u2's words and the comment.
_CTM = """;; made by hand
u1 1 0.10 0.30 zero 0.9900
u2 1 10.00 0.30 two 0.8000
u2 1 2.50 0.20 one 0.9000
"""


def _write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def _asr_kd(*arguments: object) -> str:
    done = CliRunner().invoke(app, [str(each) for each in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_a_ctm_is_read_in_the_order_of_its_times(tmp_path: Path) -> None:
    assert read_text_file(_write(tmp_path / "hyp.ctm", _CTM)) == {"u1": "zero", "u2": "one two"}


def test_a_ctm_is_scored_compared_and_combined(tmp_path: Path) -> None:
    reference = _write(tmp_path / "ref.txt", "u1 zero\nu2 one three\n")
    ctm = _write(tmp_path / "hyp.ctm", _CTM)
    assert "%WER 33.3 [ 1 / 3, 0 ins, 0 del, 1 sub ] hyp.ctm" in _asr_kd("score", reference, ctm)
    compared = _asr_kd("compare", ctm, reference, "--reference", reference)
    assert compared.startswith(f"{ctm}: WER 33.33 %")
    _asr_kd("combine", ctm, reference, "--out", tmp_path / "voted.txt")
    assert read_text_file(tmp_path / "voted.txt") == {"u1": "zero", "u2": "one two"}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("u1 1 0 1 a\nu2 b c\n", r"h\.ctm:2: malformed line of a CTM; expected recording .*got u2 b c"),
        ("u1 1 zero one two\n", r"h\.ctm:1: malformed line"),
        ("u1 1 0 -1 a\n", r"h\.ctm:1: malformed line"),
        ("u1 1 0 nan a\n", r"h\.ctm:1: malformed line"),
        ("u1 1 0 1 a 0.9 lex\n", r"h\.ctm:1: malformed line"),
        ("u1 1 0 1 a\nu2 1 0 1 a\nu1 1 1 1 b\n", r'h\.ctm:3: utt_id "u1" is there twice'),
        ("u1 A 0 1 a\nu1 B 1 1 b\n", r'h\.ctm:2: recording "u1" has two channels; expected A .*got B'),
        (";; nothing\n", r"h\.ctm: the file holds no utterance"),
    ],
)
def test_what_is_no_ctm_is_refused_with_its_line(tmp_path: Path, lines: str, message: str) -> None:
    with pytest.raises(ScoringError, match=message):
        read_text_file(_write(tmp_path / "h.ctm", lines))


def test_a_manifest_says_what_was_said(tmp_path: Path) -> None:
    rows = [
        Utterance(f"u{n}", "s1", "a.wav", 8000, 8000, text) for n, text in enumerate(("one two", "three"))
    ]
    write_manifest(tmp_path / "test.jsonl", rows)
    found = _write(tmp_path / "hyp.txt", "u0 one two\nu1 two\n")
    assert "%WER 33.3 [ 1 / 3," in _asr_kd("score", tmp_path / "test.jsonl", found)
    assert "WER 33.33 %" in _asr_kd("compare", found, found, "--reference", tmp_path / "test.jsonl")


def test_a_manifest_without_text_is_refused(tmp_path: Path) -> None:
    write_manifest(tmp_path / "test.jsonl", [Utterance("u1", "s1", "a.wav", 8000, 8000)])
    with pytest.raises(ManifestError, match=r"test\.jsonl: 1 of 1 utterances have no transcript; got u1"):
        _asr_kd("score", tmp_path / "test.jsonl", _write(tmp_path / "hyp.txt", "u1 a\n"))
    with pytest.raises(ManifestError, match=r"h\.jsonl:1: fields missing"):
        _asr_kd("score", _write(tmp_path / "h.jsonl", json.dumps({"utt_id": "u1"})), tmp_path / "hyp.txt")


@pytest.mark.parametrize("suffix", [".stm", ".csv", ".json", ".STM"])
def test_other_formats_are_refused_by_name(tmp_path: Path, suffix: str) -> None:
    path = _write(tmp_path / f"ref{suffix}", "u1 1 spk 0.0 1.0 <o,f0,male> zero\n")
    expected = (
        rf"ref{suffix}: {suffix} is another format; expected Kaldi text \(.*\), \.trn or \.ctm; convert"
    )
    with pytest.raises(AsrKdError, match=expected):
        _asr_kd("score", path, path)


@pytest.mark.parametrize("name", ["out.ctm", "out.jsonl", "out.csv"])
def test_hypotheses_are_not_written_under_the_name_of_another_format(tmp_path: Path, name: str) -> None:
    with pytest.raises(
        ScoringError, match=rf"{name}: .* is another format; expected a name that ends in \.txt"
    ):
        write_text_file(tmp_path / name, {"u1": "zero"})
    text = _write(tmp_path / "a.txt", "u1 a\n")
    with pytest.raises(ScoringError, match="is another format"):
        _asr_kd("combine", text, text, "--out", tmp_path / name)
    assert not (tmp_path / name).exists()
