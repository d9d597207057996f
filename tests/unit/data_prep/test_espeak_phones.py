"""From eSpeak's events to phones with times, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from asr_kd.errors import CorpusError
from data_prep.espeak import PhonemeEvent, Speech, WordEvent
from data_prep.espeak_phones import PhoneSegment, SpokenWord, arpabet, segment


def speech(phonemes: str, words: list[tuple[int, int]], num_samples: int = 1000) -> Speech:
    """Phonemes start 100 samples apart, the first at 50."""
    events = [PhonemeEvent(name, 50 + 100 * k) for k, name in enumerate(phonemes.split())]
    return Speech(np.ones(num_samples, np.float32), 22050, events, [WordEvent(*word) for word in words])


def test_phones_cover_all_samples_and_pauses_are_silence() -> None:
    said = speech("t '3: n 'O2 f _: _", [(0, 0), (5, 3)])
    segments, words = segment(said, "turn off", "gmw/en-US")
    assert segments == [
        PhoneSegment("SIL", 0, 50),
        PhoneSegment("T", 50, 150),
        PhoneSegment("ER", 150, 250),
        PhoneSegment("N", 250, 350),
        PhoneSegment("AO", 350, 450),
        PhoneSegment("F", 450, 550),
        PhoneSegment("SIL", 550, 1000),
    ]
    assert words == [SpokenWord("TURN", 1, 3), SpokenWord("OFF", 4, 2)]


def test_a_glide_belongs_to_the_vowel_before_it() -> None:
    said = speech("D I2 ; a# l", [(0, 0), (4, 3)])
    segments, words = segment(said, "the al", "gmw/en")
    assert segments[2] == PhoneSegment("IH", 150, 350)
    assert [row.phone for row in segments] == ["SIL", "DH", "IH", "AX", "L"]
    assert words == [SpokenWord("THE", 1, 2), SpokenWord("AL", 3, 2)]


def test_a_phone_without_length_takes_the_end_of_the_sound_before_it() -> None:
    events = [PhonemeEvent("'O:", 0), PhonemeEvent("l", 500), PhonemeEvent("w", 500), PhonemeEvent("eI", 600)]
    said = Speech(np.ones(1000, np.float32), 22050, events, [WordEvent(0, 0)])
    segments, words = segment(said, "allway", "gmw/en")
    assert segments == [
        PhoneSegment("AO", 0, 300),
        PhoneSegment("L", 300, 500, start_is_known=False),
        PhoneSegment("W", 500, 600),
        PhoneSegment("EY", 600, 1000),
    ]
    assert words == [SpokenWord("ALLWAY", 0, 4)]


def test_the_silence_before_a_burst_is_its_closure() -> None:
    said = speech("s t 'O2 p", [(0, 0)], 500)
    said.samples[100:150] = 0.0  # before T
    said.samples[200:250] = 0.0  # before AO, which begins with a silent sample of its own
    said.samples[250:253] = 0.0
    said.samples[0:50] = 0.0  # before the first phone it is silence
    segments, _ = segment(said, "stop", "gmw/en")
    assert segments == [
        PhoneSegment("SIL", 0, 50),
        PhoneSegment("S", 50, 100),
        PhoneSegment("T", 100, 200),
        PhoneSegment("AO", 200, 350),
        PhoneSegment("P", 350, 500),
    ]


@pytest.mark.parametrize("l_start", [500, 400])  # without length, or with nothing but the closure
def test_a_closure_shortens_the_sound_that_two_phones_share(l_start: int) -> None:
    events = [PhonemeEvent("'O:", 0), PhonemeEvent("l", l_start), PhonemeEvent("D", 500)]
    said = Speech(np.ones(700, np.float32), 22050, events, [WordEvent(0, 0)])
    said.samples[300:500] = 0.0
    segments, _ = segment(said, "all", "gmw/en")
    assert segments == [
        PhoneSegment("AO", 0, 180),
        PhoneSegment("L", 180, 300, start_is_known=False),
        PhoneSegment("DH", 300, 700),
    ]


def test_the_is_told_from_the_word_that_it_is_spoken_with() -> None:
    said = speech("O2 n D @2 f a n", [(0, 0), (7, 4)])
    _, words = segment(said, "on the fan", "gmw/en-US")
    assert words == [SpokenWord("ON", 1, 2), SpokenWord("THE", 3, 2), SpokenWord("FAN", 5, 3)]


def test_other_words_spoken_as_one_are_refused() -> None:
    said = speech("f O@ w V n", [(0, 0)])
    with pytest.raises(CorpusError, match='"one" is spoken together with the word before it in "for one"'):
        segment(said, "for one", "gmw/en-US")


@pytest.mark.parametrize(
    ("name", "accent", "phone"),
    [
        ("'aI", "gmw/en", "AY"),
        (",oU", "gmw/en", "OW"),
        ("0", "gmw/en", "AO"),
        ("0", "gmw/en-US", "AA"),
        ("aa", "gmw/en-GB-scotland", "AE"),
        ("aa", "gmw/en-GB-x-rp", "AA"),
        ("o@", "gmw/en-US", "OR"),
        ("_:", "gmw/en", "SIL"),
    ],
)
def test_phones_depend_on_the_accent(name: str, accent: str, phone: str) -> None:
    assert arpabet(name, accent) == phone


def test_an_unknown_phoneme_is_refused() -> None:
    with pytest.raises(CorpusError, match='no phone for eSpeak\'s phoneme "Q"'):
        arpabet("Q", "gmw/en")
