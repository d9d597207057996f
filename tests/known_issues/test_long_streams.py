"""Each piece of a stream traced all words from its beginning: after hours that took longer than the piece."""

from __future__ import annotations

import numpy as np
import pytest

from asr_kd import streaming
from asr_kd.data.audio import Audio
from asr_kd.decode.beam import Hypothesis


class _Scorer:
    def __init__(self, *arguments: object) -> None:
        pass

    def accept(self, samples: np.ndarray) -> np.ndarray:
        return np.zeros((len(samples) // 10, 2), np.float32)

    def finish(self) -> np.ndarray:
        return np.zeros((0, 2), np.float32)


class _Decoder:
    traced = 0

    def __init__(self, *arguments: object) -> None:
        pass

    def accept(self, scores: np.ndarray) -> None:
        pass

    def partial_words(self) -> tuple[str, ...]:
        _Decoder.traced += 1
        return ("a",)

    def finish(self) -> Hypothesis:
        return Hypothesis(("a",), 0.0, True)


@pytest.mark.parametrize(("seconds", "most"), [(10, 100), (1000, 3300)])
def test_take_a_share_of_the_time(monkeypatch: pytest.MonkeyPatch, seconds: int, most: int) -> None:
    monkeypatch.setattr(streaming, "StreamingScorer", _Scorer)
    monkeypatch.setattr(streaming, "StreamingDecoder", _Decoder)
    monkeypatch.setattr(_Decoder, "traced", 0)
    recogniser = object.__new__(streaming.StreamingRecogniser)
    monkeypatch.setattr(streaming.StreamingRecogniser, "_word_ends", lambda *arguments: [])
    recogniser.__dict__ |= {"_recogniser": _Anything(), "_search_path": None, "_graph": None}
    audio = Audio(np.zeros(1000 * seconds, np.float32), 1000)
    shown: list[float] = []
    result = recogniser.transcribe("u", audio, 0.1, lambda heard, words: shown.append(heard))
    assert result.hypothesis.words == ("a",)
    assert shown == [pytest.approx(0.1)]
    assert min(most, 10 * seconds) / 2 < _Decoder.traced <= most


class _Anything:
    def __getattr__(self, name: str) -> _Anything:
        return self
