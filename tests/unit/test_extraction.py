"""How utterances are taken together for the frontend."""

from __future__ import annotations

from asr_kd.data.manifest import Utterance
from asr_kd.extraction import batches


def _utterance(seconds: float) -> Utterance:
    return Utterance("u", "s", "u.wav", int(seconds * 16000), 16000)


def test_batches_keep_the_order_and_the_length() -> None:
    durations = [10, 15, 5, 1, 40, 2, 30]
    utterances = [_utterance(seconds) for seconds in durations]
    found = list(batches(utterances, seconds=30))
    assert [[each.duration for each in batch] for batch in found] == [[10, 15, 5], [1], [40], [2], [30]]
    assert list(batches([], seconds=30)) == []
