"""eSpeak's phoneme names as ARPAbet phones, and the phones of each word with their times."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from asr_kd.errors import CorpusError
from data_prep.espeak import Speech

SILENCE = "SIL"
_GLIDE = ";"  # ends a vowel before another vowel, as in "the alarm"; it counts as part of the vowel
_SHARE_OF_JOINED_SOUND = 0.4
_PHONES = {
    "0": "AO", "3": "AX", "3:": "ER", "@": "AX", "@2": "AX", "A:": "AA", "A@": "AA", "D": "DH", "E": "EH",
    "I": "IH", "I#": "IH", "I2": "IH", "IR": "ER", "N": "NG", "O2": "AO", "O:": "AO", "O@": "AO", "T": "TH",
    "U": "UH", "V": "AH", "VR": "ER", "a": "AE", "a#": "AX", "aI": "AY", "aI2": "AY", "aU": "AW", "aa": "AE",
    "b": "B", "d": "D", "dZ": "JH", "eI": "EY", "f": "F", "g": "G", "h": "HH", "i": "IY", "i:": "IY",
    "i@": "IY", "j": "Y", "k": "K", "l": "L", "m": "M", "n": "N", "o@": "AO", "oU": "OW", "p": "P", "r": "R",
    "r-": "R", "s": "S", "S": "SH", "t": "T", "t#": "DX", "t2": "T", "tS": "CH", "u:": "UW", "v": "V",
    "w": "W", "w#": "W", "z": "Z",
}  # fmt: skip
# One vowel where other accents have a vowel and R, or another vowel altogether.
_ACCENTS: dict[str, dict[str, str]] = {
    "gmw/en": {"aa": "AA"},
    "gmw/en-GB-x-rp": {"aa": "AA"},
    "gmw/en-US": {"0": "AA", "3": "ER", "A@": "AR", "O@": "OR", "o@": "OR"},
}


@dataclass(frozen=True)
class PhoneSegment:
    """A phone and its samples, ``end_sample`` excluded.

    Attributes:
        start_is_known: False for an L or R that eSpeak speaks as one sound with the vowel before it;
            the last part of that sound is then taken for it.
    """

    phone: str
    start_sample: int
    end_sample: int
    start_is_known: bool = True


@dataclass(frozen=True)
class SpokenWord:
    """A word and which of the phone segments it is."""

    word: str
    first_phone: int
    num_phones: int


def arpabet(name: str, accent: str) -> str:
    """Return the phone for an eSpeak phoneme in an accent; stress marks are dropped.

    Raises:
        CorpusError: For a phoneme that the table lacks.
    """
    plain = name.strip("',%=")
    if plain.startswith("_"):
        return SILENCE
    phone = _ACCENTS.get(accent, {}).get(plain) or _PHONES.get(plain)
    if phone is None:
        raise CorpusError(f'no phone for eSpeak\'s phoneme "{name}"', where="data_prep.espeak_phones")
    return phone


def segment(speech: Speech, text: str, accent: str) -> tuple[list[PhoneSegment], list[SpokenWord]]:
    """Return the phones from the first sample to the last without a gap, and the words' shares of them.

    Args:
        speech: What eSpeak said.
        text: What it was given: words separated by single blanks.
        accent: Language file of the voice, as ``gmw/en-US``.

    Raises:
        CorpusError: When a word cannot be found in what was said.
    """
    segments: list[PhoneSegment] = []
    index_of: list[int] = []  # eSpeak's phoneme -> segment
    starts = [event.start_sample for event in speech.phonemes] + [len(speech.samples)]
    if starts[0] > 0:
        segments.append(PhoneSegment(SILENCE, 0, starts[0]))
    for event, end in zip(speech.phonemes, starts[1:], strict=True):
        glide = event.name == _GLIDE
        phone = SILENCE if glide else arpabet(event.name, accent)
        if segments and (glide or phone == segments[-1].phone == SILENCE):
            before = segments[-1]
            segments[-1] = PhoneSegment(before.phone, before.start_sample, end)
        else:
            segments.append(PhoneSegment(phone, event.start_sample, end))
        index_of.append(len(segments) - 1)
    words = _words(speech, text, segments, index_of)
    return _give_length(_with_closures(segments, speech.samples)), words


def _with_closures(segments: list[PhoneSegment], samples: NDArray[np.float32]) -> list[PhoneSegment]:
    """Count the silence before a phone's first sound with that phone.

    eSpeak names a stop at its burst and leaves its closure, 20 to 50 ms of digital silence, to the phone
    before. In voices with an echo the closure is not silent and stays there. An L or R that is silent
    altogether is part of the vowel before it.
    """
    rows = list(segments)
    last = 0  # phone with a length
    for index in range(1, len(rows)):
        if rows[index].start_sample == rows[index].end_sample:
            continue
        if SILENCE not in (rows[last].phone, rows[index].phone):
            sound = np.flatnonzero(samples[rows[last].start_sample : rows[index].start_sample])
            start = rows[last].start_sample + (int(sound[-1]) + 1 if len(sound) else 0)
            for between in range(last + 1, index):
                rows[between] = replace(rows[between], start_sample=start, end_sample=start)
            rows[last] = replace(rows[last], end_sample=start)
            rows[index] = replace(rows[index], start_sample=start)
        last = index
    return rows


def _give_length(segments: list[PhoneSegment]) -> list[PhoneSegment]:
    """Give phones without length a share of the sound before them."""
    result: list[PhoneSegment] = []
    for row in segments:
        if row.start_sample < row.end_sample:
            result.append(row)
            continue
        before = result.pop()
        length = before.end_sample - before.start_sample
        start = before.end_sample - max(1, int(_SHARE_OF_JOINED_SOUND * length))
        result.append(replace(before, end_sample=start))
        result.append(PhoneSegment(row.phone, start, row.end_sample, start_is_known=False))
    return result


def _words(speech: Speech, text: str, segments: list[PhoneSegment], index_of: list[int]) -> list[SpokenWord]:
    first_of = {event.start_character: index_of[event.first_phoneme] for event in speech.words}
    num_spoken = max(k for k, row in enumerate(segments) if row.phone != SILENCE) + 1
    words: list[SpokenWord] = []
    end = num_spoken
    start = len(text)
    for word in reversed(text.split()):
        start -= len(word)
        first = first_of.get(start)
        if first is None:
            first = _the(word, segments, end, text)
        words.append(SpokenWord(word.upper(), first, end - first))
        end = first
        start -= 1
    words.reverse()
    if any(row.num_phones < 1 for row in words):
        raise CorpusError(f'a word of "{text}" has no phones of its own')
    return words


def _the(word: str, segments: list[PhoneSegment], end: int, text: str) -> int:
    """Return where "the" begins: eSpeak speaks "on the", "in the" ... as one word."""
    first = end - 2
    if word != "the" or segments[first].phone != "DH":
        raise CorpusError(f'"{word}" is spoken together with the word before it in "{text}"')
    return first
