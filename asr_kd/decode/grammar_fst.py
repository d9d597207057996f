"""An n-gram model as an acceptor of word ids (G), with back-off arcs."""

from __future__ import annotations

import math
from typing import Any

import kaldifst

from asr_kd.lang.lexicon import Lexicon
from asr_kd.lang.ngram import LOG10_ZERO, SENTENCE_END, SENTENCE_START, Ngram, NgramModel

_LN10 = math.log(10.0)


def grammar_fst(lm: NgramModel, lexicon: Lexicon, backoff_word: int) -> Any:
    """Return G: a state for each history that an n-gram continues, costs in natural logarithms.

    A sentence may take the back-off arc although the longer n-gram exists, and so reach a shorter history;
    where that is cheaper, its cost is below that of the model. This is how Kaldi and most decoders do it.

    Args:
        lm: Of any order.
        lexicon: Gives word ids; has all words of the model.
        backoff_word: The input label of back-off arcs (#0).

    Returns:
        ``StdVectorFst``; its output labels are word ids, epsilon on back-off arcs.

    Source: Mohri, Pereira & Riley 2008, section 4.1.1; Kaldi ``arpa2fst``.
    """
    states = _states(lm)
    fst = kaldifst.StdVectorFst()
    fst.reserve_states(len(states))
    for _ in states:
        fst.add_state()
    fst.start = states[_longest_state((SENTENCE_START,), states)]
    for log_probs in lm.log_probs:
        for ngram, log_prob in log_probs.items():
            if log_prob <= LOG10_ZERO:
                continue
            _add_ngram(fst, ngram, -_LN10 * log_prob, states, lexicon)
    for history, state in states.items():
        if history:
            _add_backoff(fst, history, state, lm, states, backoff_word)
    return fst


def _states(lm: NgramModel) -> dict[Ngram, int]:
    """Return the number of each history that is continued or has a back-off weight; 0 is the empty one."""
    states: dict[Ngram, int] = {(): 0}
    for log_probs in lm.log_probs[1:]:
        for ngram in log_probs:
            states.setdefault(ngram[:-1], len(states))
    for history in lm.backoffs:
        if SENTENCE_END not in history:
            states.setdefault(history, len(states))
    return states


def _longest_state(history: Ngram, states: dict[Ngram, int]) -> Ngram:
    while history not in states:
        history = history[1:]
    return history


def _add_ngram(fst: Any, ngram: Ngram, cost: float, states: dict[Ngram, int], lexicon: Lexicon) -> None:
    source, word = states[ngram[:-1]], ngram[-1]
    if word == SENTENCE_END:
        fst.set_final(source, cost)
    elif word != SENTENCE_START:
        word_id = lexicon.word_id(word)
        target = states[_longest_state(ngram, states)]
        fst.add_arc(source, kaldifst.StdArc(word_id, word_id, cost, target))


def _add_backoff(
    fst: Any, history: Ngram, state: int, lm: NgramModel, states: dict[Ngram, int], backoff_word: int
) -> None:
    """Add the arc to the next shorter history that has a state, the weights of those between included."""
    log_weight = lm.backoffs.get(history, 0.0)
    shorter = history[1:]
    while shorter not in states:
        log_weight += lm.backoffs.get(shorter, 0.0)
        shorter = shorter[1:]
    if log_weight > LOG10_ZERO:
        fst.add_arc(state, kaldifst.StdArc(backoff_word, 0, -_LN10 * log_weight, states[shorter]))
