"""Pronunciations for corpora: read from files of the usual kinds, or spelt by characters."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

from asr_kd.errors import LexiconError
from asr_kd.utf8 import read_utf8
from data_prep.pronunciations import (
    NUM_PROBABILITIES,
    Pronunciation,
    is_comment,
    stray_among,
    without_variant_mark,
)

_STRESS = re.compile(r"(?<=.)[0-9]+$")


def read_pronunciations(path: Path, *, strip_stress: bool = False) -> list[Pronunciation]:
    """Read lines ``WORD PHONE PHONE ...``; all pronunciations of a word are kept, equal ones once.

    As in CMUdict, ``WORD(2)`` is another pronunciation of ``WORD``, and ``;;;`` begins a line of comment.

    Args:
        path: ``lexiconp.txt`` and ``lexiconp_silprob.txt`` have one and four probabilities after the word,
            which are dropped; a file of any other name has none.
        strip_stress: Take the digits off the ends of phones.

    Raises:
        LexiconError: For a missing or empty file, and, with its number, a line without phones or probability,
            or with a comment or a decimal number among its phones.
    """
    if not path.is_file():
        raise LexiconError("no such lexicon", where=path, expected="lines of WORD PHONE PHONE ...")
    pronunciations: list[Pronunciation] = []
    num_probabilities = NUM_PROBABILITIES.get(path.name, 0)
    for number, line in enumerate(read_utf8(path, LexiconError).split("\n"), start=1):
        if not line.strip() or is_comment(line):
            continue
        word, *fields = line.split()
        where = f"{path}:{number}"
        _check_probabilities(fields[:num_probabilities], num_probabilities, where)
        phones = fields[num_probabilities:]
        if not phones:
            raise LexiconError(f'"{word}" has no phones', where=where, expected="WORD PHONE PHONE ...")
        _check_phones(phones, where)
        if strip_stress:
            phones = [without_stress(phone) for phone in phones]
        pronunciations.append((without_variant_mark(word), tuple(phones)))
    if not pronunciations:
        raise LexiconError("the lexicon is empty", where=path, expected="lines of WORD PHONE PHONE ...")
    return list(dict.fromkeys(pronunciations))


def without_stress(phone: str) -> str:
    """Return a phone without the digits at its end (``AH0`` becomes ``AH``)."""
    return _STRESS.sub("", phone)


def _check_probabilities(fields: Sequence[str], count: int, where: str) -> None:
    try:
        values = [float(field) for field in fields]
    except ValueError:
        values = []
    if len(values) != count or not all(value > 0 for value in values):
        raise LexiconError(
            "no probability behind the word",
            where=where,
            expected=f"WORD and {count} numbers above 0, then phones",
            got=" ".join(fields) or "nothing",
        )


def _check_phones(phones: Sequence[str], where: str) -> None:
    if stray := stray_among(phones):
        raise LexiconError(
            stray.what, where=where, expected="WORD PHONE PHONE ...", got=stray.got, hint=stray.hint
        )


def character_lexicon(words: Iterable[str], where: str) -> list[Pronunciation]:
    """Spell words: every letter, digit or combining mark, in lower case, is a phone.

    Raises:
        LexiconError: For a word without any.
    """
    pronunciations = []
    for word in sorted(set(words)):
        letters = [char for char in unicodedata.normalize("NFC", word).lower() if is_letter(char)]
        if not letters:
            raise LexiconError(
                f'"{word}" has no letters to spell it by',
                where=where,
                hint="take it out of the transcripts, or bring a lexicon",
            )
        pronunciations.append((word, tuple(letters)))
    return pronunciations


def is_letter(char: str) -> bool:
    """Return whether a character is a letter, a digit or a combining mark of any script."""
    return unicodedata.category(char)[0] in "LMN"
