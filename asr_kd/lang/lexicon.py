"""The pronunciation lexicon: words, their phones and their integer ids."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from asr_kd.atomic import write_text
from asr_kd.errors import LexiconError
from asr_kd.utf8 import read_utf8

Pronunciation = tuple[str, ...]

_EPSILON = "<eps>"
_DISAMBIGUATION = re.compile(r"#\d+")
_STRESS = re.compile(r"(?<=.)\d+$")
_NUM_SHOWN = 8


@dataclass(frozen=True)
class Lexicon:
    """Words and their pronunciations.

    Attributes:
        pronunciations: Of each word, in order of preference. A noise or unknown-word entry such as
            ``<unk>`` is a word like any other.

    Raises:
        LexiconError: When the lexicon is empty, or a word lacks a pronunciation or a phone.
    """

    pronunciations: dict[str, tuple[Pronunciation, ...]]
    words: tuple[str, ...] = field(init=False, repr=False, compare=False)
    phones: tuple[str, ...] = field(init=False, repr=False, compare=False)
    _word_ids: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.pronunciations:
            raise LexiconError("the lexicon is empty", expected="at least one word")
        for word, alternatives in self.pronunciations.items():
            if not alternatives or not all(alternatives):
                raise LexiconError(f'word "{word}" has no phones', hint="give it a pronunciation")
        words = tuple(sorted(self.pronunciations))
        phones = {phone for entry in self.pronunciations.values() for phones in entry for phone in phones}
        object.__setattr__(self, "words", words)
        object.__setattr__(self, "phones", tuple(sorted(phones)))
        object.__setattr__(self, "_word_ids", {word: number for number, word in enumerate(words, start=1)})

    def __len__(self) -> int:
        return len(self.words)

    def __contains__(self, word: object) -> bool:
        return word in self.pronunciations

    def word_id(self, word: str) -> int:
        """Return the id of a word, 1 or more (0 is epsilon).

        Raises:
            LexiconError: When the word is not in the lexicon.
        """
        if word not in self._word_ids:
            raise LexiconError(f'word "{word}" is not in the lexicon', hint="add its pronunciation")
        return self._word_ids[word]

    def word(self, word_id: int) -> str:
        """Return the word of an id, 1 or more."""
        assert 1 <= word_id <= len(self.words), f"word id {word_id} of {len(self.words)}"
        return self.words[word_id - 1]

    def missing(self, words: Iterable[str]) -> list[str]:
        """Return the different words that the lexicon lacks, sorted."""
        return sorted(set(words) - self.pronunciations.keys())

    def check_words(self, words: Iterable[str], where: str | Path | None = None) -> None:
        """Refuse words that have no pronunciation.

        Raises:
            LexiconError: Naming the first unknown words.
        """
        unknown = self.missing(words)
        if unknown:
            shown = ", ".join(f'"{word}"' for word in unknown[:_NUM_SHOWN])
            more = f" and {len(unknown) - _NUM_SHOWN} more" if len(unknown) > _NUM_SHOWN else ""
            raise LexiconError(
                f"{'word is' if len(unknown) == 1 else 'words are'} not in the lexicon: {shown}{more}",
                where=where,
                hint="add their pronunciations to the lexicon or fix the transcripts",
            )


def read_lexicon(path: Path, strip_stress: bool = False, phone_set: Container[str] | None = None) -> Lexicon:
    """Read a lexicon of lines ``WORD PHONE PHONE ...``, separated by blanks or tabs.

    A word that comes again has another pronunciation; exact duplicates are merged.

    Args:
        path: The lexicon file.
        strip_stress: Whether to remove the digits at the end of phones (``AH0`` becomes ``AH``).
        phone_set: Phones to check the entries against, as they are after ``strip_stress``.

    Raises:
        LexiconError: For a missing or empty file or a malformed line, with its number.

    Source: Kaldi's ``dict/lexicon.txt``.
    """
    if not path.is_file():
        raise LexiconError("no such lexicon", where=path, hint="run the prepare stage or check the path")
    entries: dict[str, dict[Pronunciation, None]] = {}
    for number, line in enumerate(read_utf8(path, LexiconError).splitlines(), start=1):
        if not line.strip():
            continue
        word, phones = _parse_line(line, f"{path}:{number}", strip_stress, phone_set)
        entries.setdefault(word, {})[phones] = None
    if not entries:
        raise LexiconError("the lexicon is empty", where=path, expected="lines of WORD PHONE PHONE ...")
    return Lexicon({word: tuple(alternatives) for word, alternatives in entries.items()})


def _parse_line(
    line: str, where: str, strip_stress: bool, phone_set: Container[str] | None
) -> tuple[str, Pronunciation]:
    word, *phones = line.split()
    if not phones:
        raise LexiconError(f'word "{word}" has no phones', where=where, expected="WORD PHONE PHONE ...")
    for symbol in (word, *phones):
        if symbol == _EPSILON or _DISAMBIGUATION.fullmatch(symbol):
            raise LexiconError(
                f'"{symbol}" is reserved for the decoding graph', where=where, hint="rename the word or phone"
            )
    if strip_stress:
        phones = [_STRESS.sub("", phone) for phone in phones]
    for phone in phones:
        if phone_set is not None and phone not in phone_set:
            raise LexiconError(
                f'phone "{phone}" is not in the phone set',
                where=where,
                hint="add it there or fix the entry",
            )
    return word, tuple(phones)


def write_lexicon(path: Path, lexicon: Lexicon) -> None:
    """Write a lexicon atomically, sorted by word, one pronunciation a line."""
    lines = [
        f"{word}\t{' '.join(phones)}\n" for word in lexicon.words for phones in lexicon.pronunciations[word]
    ]
    write_text(path, "".join(lines))
