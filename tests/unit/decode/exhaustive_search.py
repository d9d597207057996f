"""Best word sequence by trying all of them, without any FST: what the decoder is compared with."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from asr_kd.decode.graph import GraphConfig
from asr_kd.lang.hmm import Hmm
from asr_kd.lang.lexicon import Lexicon
from asr_kd.lang.ngram import NgramModel

LN10 = math.log(10)
Costs = np.ndarray[Any, Any]


class Exhaustive:
    """Costs of word sequences for one matrix of log-likelihoods ``[T, S]``.

    A vector ``[T + 1]`` holds the cost of having used up t frames; a matrix ``[T + 1, T + 1]`` the cost of a
    word or a silence from one frame to another.
    """

    def __init__(
        self, lexicon: Lexicon, hmm: Hmm, lm: NgramModel, scores: Costs, config: GraphConfig
    ) -> None:
        self._hmm = hmm
        self._lm = lm
        self._scores = scores
        self._grammar_cost = lru_cache(maxsize=None)(self._grammar_cost_uncached)
        self._transition_scale = config.transition_scale
        self._silence = self._optional_silence(config.silence_probability)
        self._words = {
            word: np.min([self._segments(phones) for phones in lexicon.pronunciations[word]], axis=0)
            for word in lm.words
        }

    def best(self) -> tuple[float, tuple[str, ...]]:
        """Return the least cost and its words."""
        return min(self._extensions((), self._start()))

    def cost(self, words: tuple[str, ...]) -> float:
        """Return the cost of one word sequence."""
        costs = self._start()
        for word in words:
            costs = self._after(word, costs)
        return float(costs[-1]) + self._grammar_cost(("<s>",), (*words, "</s>"))

    def _extensions(self, words: tuple[str, ...], costs: Costs) -> list[tuple[float, tuple[str, ...]]]:
        """All sequences that begin with these words, each with its cost."""
        found = [(float(costs[-1]) + self._grammar_cost(("<s>",), (*words, "</s>")), words)]
        for word in self._words:
            extended = self._after(word, costs)
            if extended.min() < math.inf:  # there are frames for it
                found.append(min(self._extensions((*words, word), extended)))
        return found

    def _start(self) -> Costs:
        return _then(np.array([0.0] + [math.inf] * len(self._scores)), self._silence)

    def _after(self, word: str, costs: Costs) -> Costs:
        return _then(_then(costs, self._words[word]), self._silence)

    def _grammar_cost_uncached(self, history: tuple[str, ...], rest: tuple[str, ...]) -> float:
        """The cheapest mixture of n-grams and back-off arcs, as a graph with back-off arcs allows it."""
        if not rest:
            return 0.0
        history = history[max(0, len(history) - self._lm.order + 1) :]
        costs = [math.inf]
        ngram = (*history, rest[0])
        if ngram in self._lm.log_probs[len(history)]:
            log_prob = self._lm.log_probs[len(history)][ngram]
            costs.append(-LN10 * log_prob + self._grammar_cost(ngram, rest[1:]))
        if history:
            weight = self._lm.backoffs.get(history, 0.0)
            costs.append(-LN10 * weight + self._grammar_cost(history[1:], rest))
        return min(costs)

    def _optional_silence(self, probability: float) -> Costs:
        nothing = np.full((len(self._scores) + 1, len(self._scores) + 1), math.inf)
        np.fill_diagonal(nothing, -math.log(1 - probability))
        if probability == 0:
            return nothing
        silence = self._segments((self._hmm.phone_set.silence,)) - math.log(probability)
        return np.minimum(nothing, silence)

    def _segments(self, phones: tuple[str, ...]) -> Costs:
        return np.array([self._segments_from(start, phones) for start in range(len(self._scores) + 1)])

    def _segments_from(self, start: int, phones: tuple[str, ...]) -> list[float]:
        """Cost of phones over the frames start .. end - 1, for each end."""
        pdf_ids = [pdf for phone in phones for pdf in self._hmm.pdf_ids(self._hmm.phone_set.phone_id(phone))]
        loops = [float(self._hmm.self_loop_probability[pdf]) for pdf in pdf_ids]
        stay = [-math.log(loop) * self._transition_scale for loop in loops]
        leave = [-math.log(1 - loop) * self._transition_scale for loop in loops]
        ends = [math.inf] * (len(self._scores) + 1)
        at = [math.inf] * len(pdf_ids)  # cost of being in each state after the frames so far
        for frame in range(start, len(self._scores)):
            entries = [0.0 if frame == start else math.inf]
            entries += [cost + exit_cost for cost, exit_cost in zip(at, leave, strict=True)]
            at = [
                min(entries[index], at[index] + stay[index]) - float(self._scores[frame, pdf])
                for index, pdf in enumerate(pdf_ids)
            ]
            ends[frame + 1] = at[-1] + leave[-1]
        return ends


def _then(costs: Costs, segments: Costs) -> Costs:
    return np.min(costs[:, None] + segments, axis=0)
