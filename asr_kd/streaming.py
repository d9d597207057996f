"""Recognition of audio while it comes in: features, nets and search piece by piece, and their latency."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from asr_kd.align.word_times import word_times
from asr_kd.data.audio import Audio, resample
from asr_kd.decode.beam import Hypothesis
from asr_kd.decode.graph import load_graph, with_insertion_penalty
from asr_kd.decode.streaming import StreamingDecoder
from asr_kd.errors import AlignmentError, ConfigError
from asr_kd.frontend.streaming import RunningCmvn, StreamingFeatures
from asr_kd.lattice_recogniser import recogniser_aligner
from asr_kd.recogniser import Recogniser, System

Samples = NDArray[np.float32]
ShowPartial = Callable[[float, tuple[str, ...]], None]
"""Gets the seconds of audio heard so far and the words."""


# Tracing the words so far goes back to the beginning: no more often than so, it takes the same share of an
# hour as of a minute.
_PARTIAL_SHARE = 0.001


class StreamingScorer:
    """From samples to log-likelihoods, as far as the windows of the nets are filled.

    Args:
        system: The acoustic models; they may have different frontends.
        sampling_rate: Of the samples to come, in Hz.
        search_path: Where a user's frontend lies.
    """

    def __init__(self, system: System, sampling_rate: int, search_path: Path | None = None) -> None:
        loaded = system.load_frontends(search_path)
        self._system = system
        self._features = {
            key: StreamingFeatures(frontend, sampling_rate, resample) for key, (_, frontend) in loaded.items()
        }
        self._cmvn = {
            key: RunningCmvn(frontend.spec.dim, config.cmvn) for key, (config, frontend) in loaded.items()
        }
        # Normalised frames from ``_first_frame`` on, [n, D] by feature key.
        self._frames = {
            key: np.zeros((0, frontend.spec.dim), dtype=np.float32) for key, (_, frontend) in loaded.items()
        }
        self._left = max(model.card.window_left for model in system.models)
        self._right = max(model.card.window_right for model in system.models)
        self._first_frame = 0
        self._num_scored = 0

    def accept(self, samples: Samples) -> NDArray[np.float32]:
        """Take the next samples ``[N]``; return log p(x|s) of the frames that they complete ``[n, S]``."""
        for key, features in self._features.items():
            self._append(key, self._cmvn[key].accept(features.accept(samples)))
        return self._scored(self._end() - self._right)

    def finish(self) -> NDArray[np.float32]:
        """Return log p(x|s) of the frames that are left ``[n, S]``."""
        for key, features in self._features.items():
            self._append(key, self._cmvn[key].accept(features.finish()))
            self._append(key, self._cmvn[key].finish())
        return self._scored(self._end())

    def _append(self, key: str, frames: NDArray[np.float32]) -> None:
        self._frames[key] = np.concatenate([self._frames[key], frames])

    def _end(self) -> int:
        return self._first_frame + min(len(frames) for frames in self._frames.values())

    def _scored(self, end: int) -> NDArray[np.float32]:
        if end <= self._num_scored:
            return np.zeros((0, self._system.models[0].card.num_senones), dtype=np.float32)
        rows = slice(self._num_scored - self._first_frame, end - self._first_frame)
        scores = self._system.log_likelihoods(self._system.log_posteriors(self._frames, rows))
        self._num_scored = end
        first = max(0, end - self._left)
        self._frames = {key: frames[first - self._first_frame :] for key, frames in self._frames.items()}
        self._first_frame = first
        return scores


@dataclass(frozen=True)
class StreamResult:
    """What was recognised in a stream, and how fast.

    Attributes:
        hypothesis: At the end.
        latencies: Of each word: seconds from its end to when it was shown for good; below 0 for one that the
            language model left no doubt of before it was over. Empty where the words cannot be aligned.
        real_time_factor: Seconds of processing for a second of audio.
    """

    hypothesis: Hypothesis
    latencies: list[float]
    real_time_factor: float


class StreamingRecogniser:
    """Recognises audio in pieces.

    Args:
        recogniser: Nets, graph and scales.
        search_path: Where a user's frontend lies.

    Raises:
        ModelError: The recogniser lacks lexicon or HMM, which tell when words end.
    """

    def __init__(self, recogniser: Recogniser, search_path: Path | None = None) -> None:
        self._recogniser = recogniser
        self._search_path = search_path
        self._graph = with_insertion_penalty(
            load_graph(recogniser.graph), recogniser.search.insertion_penalty
        )
        self._aligner = recogniser_aligner(recogniser)

    def transcribe(
        self, name: str, audio: Audio, chunk_seconds: float, show_partial: ShowPartial
    ) -> StreamResult:
        """Recognise a recording as if it came in while it is spoken.

        The clock is that of the audio; the time that processing takes is added to it as it is measured.

        Args:
            name: Named in errors.
            audio: The recording.
            chunk_seconds: How much of it comes at a time.
            show_partial: Called whenever the words so far have changed.

        Raises:
            ConfigError: A chunk does not last, or has no end.
        """
        if not 0 < chunk_seconds < math.inf:
            raise ConfigError(
                "a chunk lasts more than 0 s and ends", expected="seconds, such as 0.1", got=chunk_seconds
            )
        scorer = StreamingScorer(self._recogniser.system, audio.sampling_rate, self._search_path)
        decoder = StreamingDecoder(self._graph, self._recogniser.search)
        shown = _Shown()
        scores: list[NDArray[np.float32]] = []
        words: tuple[str, ...] = ()
        traced = 0.0
        chunk = max(1, round(min(chunk_seconds * audio.sampling_rate, audio.num_samples)))
        for start in range(0, audio.num_samples, chunk):
            piece = audio.samples[start : start + chunk]
            heard = (start + len(piece)) / audio.sampling_rate
            is_last = start + chunk >= audio.num_samples
            began = time.perf_counter()
            scores.append(scorer.accept(piece))
            decoder.accept(scores[-1])
            if is_last:
                scores.append(scorer.finish())
                decoder.accept(scores[-1])
                hypothesis = decoder.finish()
            if is_last:
                words = hypothesis.words
            elif heard - traced >= _PARTIAL_SHARE * heard:
                words, traced = decoder.partial_words(), heard
            if shown.update(words, heard, time.perf_counter() - began):
                show_partial(heard, words)
        ends = self._word_ends(name, hypothesis.words, np.concatenate(scores))
        latencies = [at - end for at, end in zip(shown.times, ends, strict=True)] if ends else []
        return StreamResult(hypothesis, latencies, shown.processing / audio.duration)

    def _word_ends(self, name: str, words: tuple[str, ...], scores: NDArray[np.float32]) -> list[float]:
        shift = self._recogniser.system.models[0].card.frontend.frame_shift
        scaled = scores * np.float32(self._recogniser.search.acoustic_scale)
        try:
            times = word_times(self._aligner, name, words, scaled)
        except AlignmentError:  # the recording breaks off within a word
            return []
        return [(start + num_frames) * shift for _, start, num_frames in times]


class _Shown:
    """Which words stand on the screen, since when, and the clock."""

    def __init__(self) -> None:
        self._words: tuple[str, ...] = ()
        self._clock = 0.0
        self.times: list[float] = []
        self.processing = 0.0

    def update(self, words: tuple[str, ...], heard: float, processing: float) -> bool:
        """Note words that took ``processing`` seconds after ``heard``; return whether they are others."""
        self.processing += processing
        self._clock = max(self._clock, heard) + processing
        self.times = [
            self.times[place] if self._words[place : place + 1] == (word,) else self._clock
            for place, word in enumerate(words)
        ]
        changed = words != self._words
        self._words = words
        return changed
