"""Pruning of back-off n-gram models by relative entropy."""

from __future__ import annotations

import math
from collections import defaultdict

from asr_kd.errors import LanguageModelError
from asr_kd.lang.ngram import LOG10_ZERO, SENTENCE_END, SENTENCE_START, Ngram, NgramModel

# Below this share of the mass a history lists all words, and its back-off weight is never used.
_NO_MASS = 1e-9
_NO_WEIGHT = 1e-7

_Grouped = dict[Ngram, dict[Ngram, float]]


def prune_ngram(model: NgramModel, threshold: float) -> NgramModel:
    """Return the model without the n-grams that hardly change it.

    An n-gram goes when the model's perplexity without it grows by a smaller share than ``threshold``; the
    highest order comes first, and what a longer n-gram builds on stays. Back-off weights are computed anew,
    so each history that stays an n-gram keeps its sum over the words (1, or less where words were dropped).
    Empty orders go too.

    Args:
        model: Of any order; 1-grams always stay.
        threshold: Above 0, such as 1e-8.

    Raises:
        LanguageModelError: For a threshold that is not above 0.

    Source: Stolcke 1998, "Entropy-based Pruning of Backoff Language Models"; SRILM ``ngram -prune``.
    """
    if not threshold > 0:
        raise LanguageModelError("the pruning threshold is not above 0", got=threshold)
    kept = list(model.log_probs)
    needed: set[Ngram] = set()
    for length in range(model.order, 1, -1):
        increases = divergence_increases(model, length)
        kept[length - 1] = {
            ngram: log_prob
            for ngram, log_prob in model.log_probs[length - 1].items()
            if ngram in needed or math.expm1(increases[ngram]) >= threshold
        }
        needed = {ngram[:-1] for ngram in kept[length - 1]}
    while len(kept) > 1 and not kept[-1]:
        kept.pop()
    return _renormalised(model, kept)


def divergence_increases(model: NgramModel, length: int) -> dict[Ngram, float]:
    """Return the relative entropy, in nats, between the model and the model without each of its n-grams.

    Each n-gram is looked at alone, with the back-off weight that its history would have without it.

    Args:
        model: The model.
        length: Of the n-grams, 2 or more; histories that back off to theirs are left out of account.

    Source: Stolcke 1998, equation 5: D = -p(h) (p(w|h) (ln p(w|h') + ln b' - ln p(w|h)) + (ln b' - ln b) r),
        where b and b' are the weights before and after, and r is what is left for words that back off.
    """
    totals = _totals(model)
    increases: dict[Ngram, float] = {}
    for history, log_probs in _by_history(model.log_probs[length - 1]).items():
        lower = {ngram: _prob(model, ngram[1:]) for ngram in log_probs}
        lower_left = max(_total(model, history[1:], totals) - sum(lower.values()), 0.0)
        weight = 10.0 ** model.backoffs.get(history, 0.0)
        left = weight * lower_left
        history_prob = _history_prob(model, history)
        for ngram, log_prob in log_probs.items():
            prob = 10.0**log_prob
            # Where nothing is left, the freed probability goes to this very word, and nothing changes.
            new_weight = (left + prob) / (lower_left + lower[ngram])
            change = prob * (math.log(lower[ngram] * new_weight) - math.log(prob))
            if left > 0:
                change += (math.log(new_weight) - math.log(weight)) * left
            increases[ngram] = -history_prob * change
    return increases


def _renormalised(model: NgramModel, kept: list[dict[Ngram, float]]) -> NgramModel:
    """Return the kept n-grams with back-off weights that give each history the sum that it had.

    Histories are what the result has weights for: its n-grams below the highest order. An ARPA file has no
    place for others, which back off to shorter ones.
    """

    def is_history(ngram: Ngram) -> bool:
        return not ngram or (len(ngram) < len(kept) and ngram in kept[len(ngram) - 1])

    totals = _totals(model)
    backoffs = {ngram: weight for ngram, weight in model.backoffs.items() if is_history(ngram)}
    pruned = NgramModel(tuple(kept), backoffs)
    for length, order_kept in enumerate(kept[1:], start=2):
        # Lower orders are finished, and they are all that the sums over shorter histories see.
        for history, log_probs in _by_history(model.log_probs[length - 1]).items():
            if not is_history(history):
                continue
            shorter = history[1:]
            while not is_history(shorter):
                shorter = shorter[1:]
            remaining = [ngram for ngram in log_probs if ngram in order_kept]
            total, lower_total = _total(model, history, totals), _total(model, shorter, totals)
            left = total - sum(10.0 ** log_probs[ngram] for ngram in remaining)
            lower_left = lower_total - sum(_prob(pruned, ngram[1:]) for ngram in remaining)
            if lower_left > _NO_MASS * lower_total:
                backoffs[history] = math.log10(left / lower_left) if left > 0 else LOG10_ZERO
            if not remaining and abs(backoffs.get(history, 0.0)) < _NO_WEIGHT:
                backoffs.pop(history, None)  # so that the graph has no state for a history without n-grams
    return pruned


def _by_history(log_probs: dict[Ngram, float]) -> _Grouped:
    """Return the n-grams of each history."""
    groups: _Grouped = defaultdict(dict)
    for ngram, log_prob in log_probs.items():
        groups[ngram[:-1]][ngram] = log_prob
    return groups


def _totals(model: NgramModel) -> dict[Ngram, float]:
    """Return the sum of p(w | h) over all words for each history h that an n-gram continues.

    It is 1, unless the file was not normalised or words were dropped for want of a pronunciation.
    """
    unigrams = model.log_probs[0]
    totals: dict[Ngram, float] = {
        (): sum(10.0**log_prob for (word,), log_prob in unigrams.items() if word != SENTENCE_START)
    }
    for order_log_probs in model.log_probs[1:]:
        for history, log_probs in _by_history(order_log_probs).items():
            lower_left = _total(model, history[1:], totals) - sum(
                _prob(model, ngram[1:]) for ngram in log_probs
            )
            left = 10.0 ** model.backoffs.get(history, 0.0) * max(lower_left, 0.0)
            totals[history] = sum(10.0**log_prob for log_prob in log_probs.values()) + left
    return totals


def _total(model: NgramModel, history: Ngram, totals: dict[Ngram, float]) -> float:
    weight = 1.0
    while history not in totals:
        weight *= 10.0 ** model.backoffs.get(history, 0.0)
        history = history[1:]
    return float(weight * totals[history])


def _prob(model: NgramModel, ngram: Ngram) -> float:
    return float(10.0 ** model.log_prob(ngram[-1], ngram[:-1]))


def _history_prob(model: NgramModel, history: Ngram) -> float:
    """Return p(h); a sentence starts as often as one ends."""
    log_prob = 0.0
    for position, word in enumerate(history):
        predicted = SENTENCE_END if position == 0 and word == SENTENCE_START else word
        log_prob += model.log_prob(predicted, history[:position])
    return float(10.0**log_prob)
