"""Written text to words: case and punctuation."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Container, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from asr_kd.data.manifest import Utterance
from data_prep.lexicons import character_lexicon, is_letter, read_pronunciations
from data_prep.pronunciations import Pronunciation

Case = Literal["lower", "upper", "as_is"]
"""``lower`` and ``upper`` drop punctuation too; ``as_is`` leaves the text alone."""

CHARACTERS = "characters"
"""Stands for a lexicon that spells each word."""

# What people type for an apostrophe: quotes, prime, accents without a letter, the wide form.
_APOSTROPHES = "\u2018\u2019\u201b\u2032\u0060\u00b4\uff07"
# Hyphens that are no ASCII; dashes stand between words.
_HYPHENS = "\u2010\u2011"
_TYPED_ALIKE = str.maketrans(dict.fromkeys(_APOSTROPHES, "'") | dict.fromkeys(_HYPHENS, "-"))
# Within words, beside letters: also the dot of Catalan, geresh and gershayim of Hebrew.
_INSIDE = "'-\u00b7\u05f3\u05f4"
# Combining marks that say how to draw what is before them: the grapheme joiner and variation selectors.
_DRAWING_MARK = re.compile("[\u034f\u180b-\u180d\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]")
_ZERO_WIDTH_SPACE = "\u200b"  # Unicode's category calls it a format character; in Khmer it parts words.


def plain_words(text: str, case: Case) -> str:
    """Return the words of a text, separated by blanks.

    Letters, digits and combining marks make words, and apostrophes, hyphens and such marks inside them.
    """
    if case == "as_is":
        return " ".join(text.split())
    text = one_spelling(text)
    text = text.lower() if case == "lower" else text.upper()
    spaced = "".join(char if is_letter(char) or char in _INSIDE else " " for char in text)
    words = (word.strip(_INSIDE) for word in spaced.split())
    return " ".join(word for word in words if word)


def one_spelling(text: str) -> str:
    """Return a text in which words that are typed or drawn in different ways are equal.

    It is composed (NFC); apostrophes and hyphens are those of ASCII. Format characters and drawing marks go,
    soft hyphens and the joiners of Persian and Hindi among them: they have no sound, few people type them
    in every place, and a word would be two with one pronunciation. So does Unicode's order of words.

    Source: Unicode Technical Standard 10, default ignorable characters.
    """
    heard = (char for char in text if unicodedata.category(char) != "Cf" or char == _ZERO_WIDTH_SPACE)
    return unicodedata.normalize("NFC", _DRAWING_MARK.sub("", "".join(heard))).translate(_TYPED_ALIKE)


def with_plain_words(
    splits: Mapping[str, Sequence[Utterance]], case: Case
) -> tuple[dict[str, list[Utterance]], list[str]]:
    """Return the splits with plain words, without utterances that have none, and notes that count those."""
    plain, notes = {}, []
    for split, rows in splits.items():
        changed = [
            row if row.text is None else replace(row, text=plain_words(row.text, case)) for row in rows
        ]
        plain[split] = [row for row in changed if row.text != ""]
        if num_left := len(changed) - len(plain[split]):
            notes.append(f"{num_left:,} of {len(rows):,} {split} utterances left out: no words.")
    return plain, notes


def lexicon_of(
    given: str, splits: Mapping[str, Sequence[Utterance]], folder: Path, *, strip_stress: bool = False
) -> list[Pronunciation]:
    """Return a lexicon: the words of all splits spelt by characters, or a file's.

    Args:
        given: ``characters``, or a path, absolute or below ``folder``.
        splits: Whose words are spelt.
        folder: Of the corpus.
        strip_stress: Take the digits off the ends of a file's phones.

    Raises:
        LexiconError: For a word that cannot be spelt, or a missing or malformed file.
    """
    words = {word for rows in splits.values() for row in rows for word in row.words}
    if given != CHARACTERS:
        read = read_pronunciations(folder / given, strip_stress=strip_stress)
        return [(spelling, phones) for word, phones in read for spelling in _as_in_texts(word, words)]
    return character_lexicon(words, str(folder))


def _as_in_texts(word: str, words: Container[str]) -> list[str]:
    """Return a word of a file as the texts spell it, which is not always how the file does."""
    spellings = dict.fromkeys((word, unicodedata.normalize("NFC", word), one_spelling(word)))
    return [spelling for spelling in spellings if spelling in words] or [word]
