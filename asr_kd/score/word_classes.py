"""Words that are scored as other words: phones folded into classes, hesitations that do not count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from asr_kd.atomic import write_text
from asr_kd.errors import ScoringError
from asr_kd.score.words import compared_words

SCORE_WORDS_FILE = "score_words.txt"
_NUM_FIELDS = (1, 2)


@dataclass(frozen=True)
class WordClasses:
    """What words are scored as.

    Attributes:
        classes: Another word, or an empty string for a word that is left out; words that are not named stay.
    """

    classes: Mapping[str, str] = field(default_factory=dict)

    def fold(self, texts: Mapping[str, str]) -> dict[str, str]:
        """Return texts by utt_id with every word as it is scored."""
        return {utt_id: self._fold(text) for utt_id, text in texts.items()}

    def _fold(self, text: str) -> str:
        if not self.classes:
            return text
        return " ".join(filter(None, (self._compared.get(word, word) for word in compared_words(text))))

    @cached_property
    def _compared(self) -> dict[str, str]:
        """The classes by words in the form in which these are compared."""
        return {form: self.classes[word] for word in self.classes for form in compared_words(word)}


def read_word_classes(path: Path) -> WordClasses:
    """Read lines ``WORD CLASS``, or ``WORD`` for one that is left out; without the file no word changes.

    Raises:
        ScoringError: For a malformed line or a doubled word, with the line's number.
    """
    if not path.is_file():
        return WordClasses()
    classes: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        fields = line.split()
        if len(fields) not in _NUM_FIELDS or fields[0] in classes:
            what = "malformed line" if len(fields) not in _NUM_FIELDS else f'"{fields[0]}" is there twice'
            raise ScoringError(what, where=f"{path}:{number}", expected="WORD CLASS, or WORD", got=line[:60])
        classes[fields[0]] = fields[1] if len(fields) == 2 else ""
    return WordClasses(classes)


def write_word_classes(path: Path, classes: Mapping[str, str]) -> None:
    """Write what :func:`read_word_classes` reads, sorted."""
    write_text(path, "".join(f"{word} {classes[word]}".rstrip() + "\n" for word in sorted(classes)))
