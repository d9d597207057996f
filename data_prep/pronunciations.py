"""Rows of a lexicon: what is no phone and no word of them, wherever they come from."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from asr_kd.errors import LexiconError

Pronunciation = tuple[str, tuple[str, ...]]
"""A word and its phones."""

NUM_PROBABILITIES = {"lexiconp.txt": 1, "lexiconp_silprob.txt": 4}
"""Columns between word and phones, by the names of Kaldi's files."""

# What CMUdict has beside words and phones.
_COMMENT_LINE, _COMMENT = ";;;", "#"
_VARIANT = re.compile(r"(?<=.)\([0-9]+\)$")
_DECIMAL = re.compile(r"[0-9]*\.[0-9]+(e[-+]?[0-9]+)?")


class Stray(NamedTuple):
    """What stands among the phones of a word and would become phones of all nets without being any."""

    what: str
    got: str
    hint: str


def stray_among(phones: Sequence[str]) -> Stray | None:
    """Return the comment or number that is among phones."""
    if _COMMENT in phones:
        comment = " ".join(phones[phones.index(_COMMENT) :])
        return Stray(
            "a comment among the phones", comment, f'take off what follows "{_COMMENT}" in each line'
        )
    if number := next(filter(_DECIMAL.fullmatch, phones), None):
        named = " or ".join(f"{name} ({count})" for name, count in NUM_PROBABILITIES.items())
        return Stray(
            "a number among the phones, as of a lexicon with probabilities",
            number,
            f"name the file by how many probabilities each word has, {named}, or take them off",
        )
    return None


def is_comment(line: str) -> bool:
    """Return whether a line, or the first word of one, is a comment."""
    return line.startswith(_COMMENT_LINE)


def without_variant_mark(word: str) -> str:
    """Return the word of which ``WORD(2)`` is another pronunciation; any other word as it is."""
    return _VARIANT.sub("", word)


def check_rows(rows: Iterable[Pronunciation], texts: Collection[str], where: str) -> None:
    """Refuse rows that somebody made of lines that are more than a word and its phones.

    Args:
        rows: Of the lexicon.
        texts: Words of the transcripts: one that ends like the mark of a variant is a word there.
        where: Named in the error.

    Raises:
        LexiconError: For the first comment, number, or mark of a variant.
    """
    rows = list(rows)
    words = {word for word, _ in rows}
    for word, phones in rows:
        stray = stray_among(phones)
        if stray is not None:
            what, got = stray.what, f'{stray.got} in "{word}"'
        elif is_comment(word):
            what, got = "a comment among the words", word
        elif word not in texts and without_variant_mark(word) in words - {word}:
            what, got = "the mark of another pronunciation in a word", word
        else:
            continue
        raise LexiconError(
            what,
            where=where,
            expected="a word and its phones",
            got=got,
            hint="data_prep.lexicons.read_pronunciations reads files that have them",
        )
