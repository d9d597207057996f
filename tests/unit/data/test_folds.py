"""Folds of a corpus: even, whole speakers where wanted, and the same in whatever order."""

from __future__ import annotations

from collections import Counter

import pytest

from asr_kd.data.folds import Folds
from asr_kd.data.manifest import Utterance
from asr_kd.errors import ConfigError

UTTERANCES = [
    Utterance(f"s{speaker}-u{number}", f"s{speaker}", "a.wav", 100, 8000, "a")
    for speaker in range(7)
    for number in range(10)
]


def test_folds_of_utterances_are_even_and_do_not_depend_on_the_order():
    folds = Folds(count=4, by="utterance").of_each(UTTERANCES)
    assert sorted(Counter(folds.values()).values()) == [17, 17, 18, 18]
    assert Folds(count=4, by="utterance").of_each(UTTERANCES[::-1]) == folds
    # sha256 fixes them on every machine.
    assert [folds[f"s0-u{number}"] for number in range(5)] == [3, 1, 1, 0, 2]


def test_folds_of_speakers_keep_a_speaker_together():
    folds = Folds(count=3, by="speaker").of_each(UTTERANCES)
    by_speaker = {row.speaker: set() for row in UTTERANCES}
    for row in UTTERANCES:
        by_speaker[row.speaker].add(folds[row.utt_id])
    assert all(len(of_one) == 1 for of_one in by_speaker.values())
    assert sorted(Counter(next(iter(each)) for each in by_speaker.values()).values()) == [2, 2, 3]


def test_fewer_speakers_than_folds_are_refused_with_a_way_out():
    with pytest.raises(ConfigError, match=r"too few speakers.*at least 8.*7.*divide by utterance"):
        Folds(count=8, by="speaker").of_each(UTTERANCES)
