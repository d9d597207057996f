"""Joiners, soft hyphens, other apostrophes and hyphens became blanks, so that one word was two."""

from __future__ import annotations

from pathlib import Path

import pytest

from asr_kd.data.manifest import Utterance
from data_prep.words import Case, lexicon_of, plain_words


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("\u0645\u06cc\u200c\u0631\u0648\u0645", "\u0645\u06cc\u0631\u0648\u0645"),  # Persian
        ("\u0915\u094d\u200d\u0937", "\u0915\u094d\u0937"),  # Hindi
        ("Wort\u00adteil", "wortteil"),
        ("\ufeffHallo \u200eWelt\u200f", "hallo welt"),
        ("O\u2018zbek o`zbek O\u2019zbek o\u00b4zbek", "o'zbek o'zbek o'zbek o'zbek"),
        ("non\u2011stop non\u2010stop non-stop", "non-stop non-stop non-stop"),
        ("Col\u00b7lecci\u00f3", "col\u00b7lecci\u00f3"),  # Catalan
        ("\u05e6\u05d4\u05f4\u05dc", "\u05e6\u05d4\u05f4\u05dc"),  # Hebrew
        ("a\u034f\u0301 tea \u2764\ufe0f", "\u00e1 tea"),
        ("\u845b\U000e0100\u98fe", "\u845b\u98fe"),
    ],
)
def test_that_was_one_stays_one(written: str, words: str) -> None:
    assert plain_words(written, "lower") == words


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("\u2018tea\u2019 `to\u00b4 \u201cme\u201d", "tea to me"),
        ("one\u2013two\u2014three\u2212four\u2026", "one two three four"),
        ("a\u200bb\u00a0c\u30fbd\u05bee", "a b c d e"),  # U+200B parts words of Khmer
        ("\u02bbokina c\u02bch", "\u02bbokina c\u02bch"),
    ],
)
def test_what_stands_between_words_parts_them_and_letters_stay(written: str, words: str) -> None:
    assert plain_words(written, "lower") == words


@pytest.mark.parametrize(
    ("case", "text", "in_lexicon"),
    [
        ("lower", "mi\u200cram o\u2018z", ["mi\u200cram", "o\u2019z"]),
        ("lower", "miram fu\u0308r", ["mi\u200cram", "fu\u0308r"]),
        ("as_is", "mi\u200cram fu\u0308r", ["mi\u200cram", "fu\u0308r"]),
        ("as_is", "miram mi\u200cram", ["mi\u200cram"]),
    ],
)
def test_words_of_a_lexicon_are_found_as_the_texts_have_them(
    tmp_path: Path, case: Case, text: str, in_lexicon: list[str]
) -> None:
    (tmp_path / "lexicon.txt").write_text("".join(f"{word} a b\n" for word in in_lexicon), encoding="utf-8")
    row = Utterance("u", "s", "u.wav", 1, 16000, plain_words(text, case))
    pronunciations = lexicon_of("lexicon.txt", {"train": [row]}, tmp_path)
    assert sorted(word for word, _ in pronunciations) == sorted(row.words)
