"""Rescoring of word sequences with another language model than the graph's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from asr_kd.decode.word_lattice import Candidate
from asr_kd.errors import LanguageModelError
from asr_kd.lang.ngram import LOG10_ZERO, SENTENCE_END, SENTENCE_START, Ngram, NgramModel

_LN10 = math.log(10.0)
_NUM_SHOWN = 5


def grammar_cost(lm: NgramModel, words: Sequence[str]) -> float:
    """Return what a graph of a language model charges for a sentence, in natural logarithms.

    As in :func:`asr_kd.decode.grammar_fst.grammar_fst`, a back-off may be taken although the longer n-gram
    exists, where that is cheaper.

    Returns:
        The cost, its end included; infinite where the model gives no probability to a word.
    """
    costs: dict[Ngram, float] = {_shortened((SENTENCE_START,), lm): 0.0}
    for word in (*words, SENTENCE_END):
        costs = _after_word(lm, _with_backoffs(lm, costs), word)
    return min(costs.values(), default=math.inf)


def _with_backoffs(lm: NgramModel, costs: dict[Ngram, float]) -> dict[Ngram, float]:
    """Return the cost of each history and of all that it backs off to."""
    reached = dict(costs)
    for length in range(max(map(len, costs), default=0), 0, -1):
        for history in [each for each in reached if len(each) == length]:
            log_weight = lm.backoffs.get(history, 0.0)
            if log_weight > LOG10_ZERO:
                cost = reached[history] - _LN10 * log_weight
                reached[history[1:]] = min(cost, reached.get(history[1:], math.inf))
    return reached


def _after_word(lm: NgramModel, costs: dict[Ngram, float], word: str) -> dict[Ngram, float]:
    following: dict[Ngram, float] = {}
    for history, cost in costs.items():
        ngram = (*history, word)
        log_prob = lm.log_probs[len(history)].get(ngram, LOG10_ZERO)
        if log_prob > LOG10_ZERO:
            target = _shortened(ngram, lm)
            following[target] = min(cost - _LN10 * log_prob, following.get(target, math.inf))
    return following


def _shortened(history: Ngram, lm: NgramModel) -> Ngram:
    return history[max(0, len(history) - lm.order + 1) :]


class Rescorer:
    """Exchanges the graph's language model for another one.

    Args:
        old: The model that the graph was built with.
        new: The model to score with; it needs a 1-gram of each word of the old one, and a probability of the
            sentence's end and of each word that the graph can give.
        path: Where the new model lies, for messages.

    Raises:
        LanguageModelError: The new model lacks words of the old one, or gives them no probability.
    """

    def __init__(self, old: NgramModel, new: NgramModel, path: Path | None = None) -> None:
        missing = sorted(set(old.words) - set(new.words))
        if missing:
            raise LanguageModelError(
                f"the language model lacks {len(missing)} words of the graph's: {_shown(missing)}",
                where=path,
                hint="rescore with a model over the lexicon's words",
            )
        possible = {word for (word,), log_prob in new.log_probs[0].items() if log_prob > LOG10_ZERO}
        impossible = sorted({*_predicted(old), SENTENCE_END} - possible)
        if impossible:
            raise LanguageModelError(
                f"the language model gives no probability to words of the graph's, {len(impossible)} in all: "
                + _shown(impossible),
                where=path,
                expected=f"a 1-gram above {LOG10_ZERO:g} of each word and of {SENTENCE_END}",
                hint="rescore with a smoothed model",
            )
        self._old = old
        self._new = new
        self._path = path

    def rescore(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Return word sequences with the new model's cost in place of the old one's, best first.

        What the new model holds for impossible is left out.

        Raises:
            LanguageModelError: That is all of them.
        """
        rescored = [
            Candidate(words, cost - grammar_cost(self._old, words) + grammar_cost(self._new, words))
            for words, cost in candidates
        ]
        possible = [candidate for candidate in rescored if candidate.cost < math.inf]
        if candidates and not possible:
            raise LanguageModelError(
                f"the language model gives no probability to any of {len(candidates)} alternatives",
                where=self._path,
                got=f'"{candidates[0].text}" and others',
                hint="rescore with a smoothed model, in which any word may follow any other",
            )
        return sorted(possible, key=lambda candidate: candidate.cost)


def _predicted(lm: NgramModel) -> set[str]:
    """Return the words that a graph of a model can give."""
    likely = (ngram[-1] for each in lm.log_probs for ngram, log_prob in each.items() if log_prob > LOG10_ZERO)
    return set(likely) - {SENTENCE_START}


def _shown(words: Sequence[str]) -> str:
    return ", ".join(words[:_NUM_SHOWN])
