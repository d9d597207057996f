"""Sentences of the quickstart corpus: digit strings and short commands from a small grammar."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence

import numpy as np

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_ROOMS = ("kitchen", "bedroom", "bathroom", "hallway", "garden", "office")
_DEVICES = ("light", "lamp", "heater", "fan", "radio")
# No "one": eSpeak speaks "for one" as one word.
_HOURS = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_TEMPLATES: tuple[tuple[tuple[str, ...], ...], ...] = (
    (("turn",), ("on", "off"), ("the",), _ROOMS, _DEVICES),
    (("turn",), ("on", "off"), ("the",), _DEVICES, ("in the",), _ROOMS),
    (("turn",), ("up", "down"), ("the",), ("volume", "heater", "music")),
    (("set the alarm for",), _HOURS, ("fifteen", "thirty", "forty")),
    (("set a timer for",), _HOURS, ("minutes",)),
    (("play", "pause", "stop"), ("the",), ("music", "radio", "song", "timer")),
    (("open", "shut"), ("the",), _ROOMS, ("door", "window", "blinds")),
    (("call",), ("my", "the"), ("mother", "father", "doctor")),
    (("what is the",), ("time", "weather"), ("in the",), _ROOMS),
)
_MIN_DIGITS, _MAX_DIGITS = 3, 7


def vocabulary() -> set[str]:
    """Return all words of the grammar."""
    phrases = itertools.chain.from_iterable(itertools.chain.from_iterable(_TEMPLATES))
    return {word for phrase in phrases for word in phrase.split()} | set(DIGITS)


def draw_sentence(rng: np.random.Generator, digit_share: float) -> str:
    """Draw a digit string (with probability ``digit_share``) or a command, in lower case."""
    if rng.random() < digit_share:
        length = int(rng.integers(_MIN_DIGITS, _MAX_DIGITS + 1))
        return " ".join(DIGITS[k] for k in rng.integers(len(DIGITS), size=length))
    template = _TEMPLATES[int(rng.integers(len(_TEMPLATES)))]
    return " ".join(choices[int(rng.integers(len(choices)))] for choices in template)


def said_first(sentences: Sequence[str], number: int) -> list[str]:
    """Return sentences so that the first of them say every word that any says; others stay where they are.

    A later sentence with a word of its own changes places with the first whose words are all said elsewhere.

    Args:
        sentences: In any order.
        number: Of the first ones.
    """
    placed = list(sentences)
    for later in range(number, len(placed)):
        counts = Counter(word for sentence in placed[:number] for word in set(sentence.split()))
        if not set(placed[later].split()) - counts.keys():
            continue
        for place in range(number):
            if all(counts[word] > 1 for word in placed[place].split()):
                placed[place], placed[later] = placed[later], placed[place]
                break
    return placed


def draw_sentences(num_sentences: int, rng: np.random.Generator, digit_share: float) -> list[str]:
    """Draw sentences; the first ones bring every word of the vocabulary where there are enough of them."""
    sentences: list[str] = []
    missing = vocabulary()
    while missing and len(sentences) < num_sentences:
        sentence = draw_sentence(rng, 0.5)
        if missing & set(sentence.split()):
            sentences.append(sentence)
            missing -= set(sentence.split())
    while len(sentences) < num_sentences:
        sentences.append(draw_sentence(rng, digit_share))
    return [sentences[k] for k in rng.permutation(len(sentences))]
