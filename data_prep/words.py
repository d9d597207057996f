"""Written text to words: case and punctuation."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from asr_kd.data.manifest import Utterance
from data_prep.common import Pronunciation
from data_prep.lexicons import character_lexicon, is_letter, read_pronunciations

Case = Literal["lower", "upper", "as_is"]
"""``lower`` and ``upper`` drop punctuation too; ``as_is`` leaves the text alone."""

CHARACTERS = "characters"
"""Stands for a lexicon that spells each word."""


def plain_words(text: str, case: Case) -> str:
    """Return the words of a text, separated by blanks.

    Letters, digits and combining marks make words, and apostrophes and hyphens inside them.
    """
    if case == "as_is":
        return " ".join(text.split())
    text = unicodedata.normalize("NFC", text).replace("\u2019", "'")
    text = text.lower() if case == "lower" else text.upper()
    spaced = "".join(char if is_letter(char) or char in "'-" else " " for char in text)
    words = (word.strip("'-") for word in spaced.split())
    return " ".join(word for word in words if word)


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
        # Texts whose punctuation was taken off are composed (NFC), which files of words need not be.
        composed = ((unicodedata.normalize("NFC", word), phones) for word, phones in read)
        return [new if new[0] in words else old for old, new in zip(read, composed, strict=True)]
    return character_lexicon(words, str(folder))
