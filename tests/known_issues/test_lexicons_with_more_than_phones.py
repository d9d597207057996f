"""Probabilities, comments and marks of variants in a lexicon became phones and words without a word said."""

from __future__ import annotations

from pathlib import Path

import pytest

from asr_kd.errors import LexiconError
from data_prep.lexicons import read_pronunciations

HELLO = ("HH", "AH0", "L", "OW1")


def _lexicon(folder: Path, name: str, *lines: str) -> Path:
    path = folder / name
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


@pytest.mark.parametrize(
    ("name", "line", "number"),
    [
        ("english_mfa.dict", "hello\t0.99\t0.2\t1.0\t1.07\tHH AH0 L OW1", "0.99"),
        ("my_lexiconp.txt", "hello 1.0 HH AH0 L OW1", "1.0"),
        ("small.txt", "hello 1.5e-05 HH AH0 L OW1", "1.5e-05"),
        ("lexiconp.txt", "hello 0.99 0.2 1.0 1.07 HH AH0 L OW1", "0.2"),
    ],
)
def test_a_probability_is_no_phone(tmp_path: Path, name: str, line: str, number: str) -> None:
    with pytest.raises(LexiconError, match=rf"{name}:1: a number among the phones.* got {number}; name the"):
        read_pronunciations(_lexicon(tmp_path, name, line))


def test_four_probabilities_are_read_under_the_name_that_the_message_says(tmp_path: Path) -> None:
    path = _lexicon(tmp_path, "lexiconp_silprob.txt", "hello\t0.99\t0.2\t1.0\t1.07\tHH AH0 L OW1")
    assert read_pronunciations(path) == [("hello", HELLO)]


def test_a_comment_is_no_phone(tmp_path: Path) -> None:
    path = _lexicon(tmp_path, "cmudict.dict", "a AH0", "gdp G IY1 D IY1 P IY1 # abbrev")
    with pytest.raises(
        LexiconError, match=r'cmudict\.dict:2: a comment .* got # abbrev; take off .* "#" in each'
    ):
        read_pronunciations(path)


def test_a_marked_variant_is_another_pronunciation_of_its_word(tmp_path: Path) -> None:
    lines = (
        ";;; # CMUdict",
        "hello HH AH0 L OW1",
        "hello(2) HH EH0 L OW1",
        "hello(3) HH AH0 L OW1",
        "(2) T UW1",
    )
    assert read_pronunciations(_lexicon(tmp_path, "cmudict.dict", *lines)) == [
        ("hello", HELLO),
        ("hello", ("HH", "EH0", "L", "OW1")),
        ("(2)", ("T", "UW1")),
    ]


def test_digits_and_marks_that_are_phones_stay(tmp_path: Path) -> None:
    path = _lexicon(tmp_path, "lexicon.txt", "r2 r 2", "ma1 m a #1", "nine 9 .")
    assert read_pronunciations(path) == [("r2", ("r", "2")), ("ma1", ("m", "a", "#1")), ("nine", ("9", "."))]
