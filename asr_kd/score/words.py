"""When two words are the same, and which reference words a recogniser cannot find at all."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable

_NUM_SHOWN = 5


def compared_words(text: str) -> list[str]:
    """Return the words of a text, each in the one form of Unicode in which words are compared.

    An accent may be a part of its letter or a character behind it; nobody sees which (NFC, NFD). Here it is a
    part, whatever wrote the text.
    """
    return unicodedata.normalize("NFC", text).split()


def unknown_words(references: Iterable[str], vocabulary: Collection[str]) -> str | None:
    """Return in words how many reference words a recogniser does not know; None when it knows all.

    Args:
        references: Texts, with their words as they are scored.
        vocabulary: All words that the recogniser can give, as they are scored.
    """
    known = {word for each in vocabulary for word in compared_words(each)}
    counts = Counter(word for text in references for word in compared_words(text))
    unknown = {word: count for word, count in counts.most_common() if word not in known}
    if not unknown:
        return None
    shown = ", ".join(list(unknown)[:_NUM_SHOWN]) + (" ..." if len(unknown) > _NUM_SHOWN else "")
    told = (
        f"{sum(unknown.values()):,} of {counts.total():,} reference words are not words of this recogniser "
        f"({shown}): they count as errors"
    )
    same_letters = {_letters(word): word for word in sorted(known)}
    alike = next((same_letters[key] for word in unknown if (key := _letters(word)) in same_letters), None)
    return told if alike is None else f'{told}; its words are written like "{alike}"'


def _letters(word: str) -> str:
    """Return a word without case and punctuation."""
    return "".join(char for char in word.casefold() if unicodedata.category(char)[0] in "LMN")
