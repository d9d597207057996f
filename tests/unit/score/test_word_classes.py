"""Words that are scored as others."""

from __future__ import annotations

from pathlib import Path

import pytest

from asr_kd.errors import ScoringError
from asr_kd.score.wer import score
from asr_kd.score.word_classes import read_word_classes, write_word_classes


def test_phones_are_folded_and_dropped_on_both_sides(tmp_path: Path) -> None:
    path = tmp_path / "score_words.txt"
    write_word_classes(path, {"ix": "ih", "cl": "sil", "q": "", "ih": "ih"})
    assert path.read_text() == "cl sil\nih ih\nix ih\nq\n"
    classes = read_word_classes(path)
    assert classes.fold({"u": "cl t ix q"}) == {"u": "sil t ih"}
    # By hand: "sil t ih" against "sil d ih" has one substitution out of three.
    result = score(classes.fold({"u": "cl t ix q"}), classes.fold({"u": "sil d ih"}))
    assert (result.substitutions, result.num_errors, result.num_reference_words) == (1, 1, 3)


def test_without_the_file_no_word_changes(tmp_path: Path) -> None:
    assert read_word_classes(tmp_path / "none").fold({"u": "a  b"}) == {"u": "a  b"}


@pytest.mark.parametrize(("line", "what"), [("a b c", "malformed line"), ("x y", '"x" is there twice')])
def test_malformed_lines_are_named(tmp_path: Path, line: str, what: str) -> None:
    path = tmp_path / "score_words.txt"
    path.write_text(f"x y\n{line}\n")
    with pytest.raises(ScoringError, match=f"txt:2: {what}"):
        read_word_classes(path)
