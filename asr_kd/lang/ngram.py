"""Word n-gram language models of any order: estimation, probabilities and perplexity."""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

from asr_kd.errors import LanguageModelError

SENTENCE_START = "<s>"
SENTENCE_END = "</s>"

# ARPA's way to write the logarithm of zero: <s> is a history, never predicted.
LOG10_ZERO = -99.0

# Used where a text is too small to give Kneser-Ney discounts (KenLM's --discount_fallback).
_FALLBACK_DISCOUNTS = (0.5, 1.0, 1.5)

Ngram = tuple[str, ...]
Smoothing = Literal["witten_bell", "kneser_ney"]

# Splits the count of an n-gram into the share that it keeps and the share that it frees for its back-off.
_Split = Callable[[int], tuple[float, float]]


@dataclass(frozen=True)
class Perplexity:
    """Perplexity of a text.

    Args:
        perplexity: Over all predicted events, unknown words left out.
        num_events: Words and sentence ends that were predicted.
        num_unknown: Words to which the model gives no probability.
    """

    perplexity: float
    num_events: int
    num_unknown: int


@dataclass(frozen=True)
class NgramModel:
    """A back-off n-gram model, as an ARPA file holds it.

    Args:
        log_probs: ``log_probs[k - 1]`` maps k-grams to log10 p(last word | words before it).
        backoffs: Maps histories to log10 back-off weights; 0 for those not in it.
    """

    log_probs: tuple[dict[Ngram, float], ...]
    backoffs: dict[Ngram, float] = field(default_factory=dict)

    @property
    def order(self) -> int:
        """Length of the longest n-grams."""
        return len(self.log_probs)

    @property
    def words(self) -> tuple[str, ...]:
        """The words that the model can predict, sorted, without the sentence's start and end."""
        return tuple(
            sorted(word for (word,) in self.log_probs[0] if word not in (SENTENCE_START, SENTENCE_END))
        )

    def log_prob(self, word: str, history: Sequence[str] = ()) -> float:
        """Return log10 p(word | history).

        Args:
            word: A word or ``</s>``.
            history: The words before it, oldest first, of any length; ``<s>`` first at a sentence's start.

        Returns:
            The logarithm; minus infinity for a word without a 1-gram.
        """
        context = tuple(history)[max(0, len(history) - self.order + 1) :]
        penalty = 0.0
        while True:
            log_prob = self.log_probs[len(context)].get((*context, word))
            if log_prob is not None:
                return penalty + log_prob
            if not context:
                return -math.inf
            penalty += self.backoffs.get(context, 0.0)
            context = context[1:]

    def perplexity(self, sentences: Iterable[Sequence[str]]) -> Perplexity:
        """Return the perplexity of sentences, their ends included.

        Raises:
            LanguageModelError: No word of the text is known to the model.
        """
        total, num_events, num_unknown = 0.0, 0, 0
        for sentence in sentences:
            padded = (SENTENCE_START, *sentence, SENTENCE_END)
            for position in range(1, len(padded)):
                log_prob = self.log_prob(
                    padded[position], padded[max(0, position - self.order + 1) : position]
                )
                if log_prob == -math.inf:
                    num_unknown += 1
                else:
                    total += log_prob
                    num_events += 1
        if num_events == 0:
            raise LanguageModelError(
                "no word of the text is known to the language model", got=f"{num_unknown} unknown"
            )
        return Perplexity(10.0 ** (-total / num_events), num_events, num_unknown)

    def fingerprint(self) -> str:
        """Return 16 hex digits that depend on the model's n-grams and weights."""
        digest = hashlib.sha256()
        for log_probs in self.log_probs:
            for ngram in sorted(log_probs):
                entry = f"{log_probs[ngram]:.7f} {' '.join(ngram)} {self.backoffs.get(ngram, 0.0):.7f}\n"
                digest.update(entry.encode())
        return digest.hexdigest()[:16]


def estimate_ngram(
    sentences: Iterable[Sequence[str]],
    words: Collection[str],
    order: int,
    smoothing: Smoothing = "witten_bell",
) -> NgramModel:
    """Estimate an interpolated n-gram model over a closed vocabulary.

    p(w | h) = (kept(h w) + freed(h) p(w | h')) / (sum over w of kept(h w) + freed(h)), where h' is h without
    its oldest word; below the 1-grams stands the uniform distribution over the vocabulary and ``</s>``, so
    every word of the lexicon has a probability. Witten-Bell keeps the count c and frees 1 for each distinct
    successor. Modified Kneser-Ney keeps c - D(c) and frees D(c), and below the highest order c is the number
    of distinct predecessors (n-grams that begin with ``<s>`` have none and keep their counts). Memory grows
    with the number of distinct n-grams.

    Args:
        sentences: Words of each sentence, without ``<s>`` and ``</s>``; empty ones are passed over.
        words: The vocabulary: the words of the lexicon.
        order: 1 or more.
        smoothing: How counts are discounted.

    Returns:
        The model; its probabilities sum to 1 over ``words`` and ``</s>`` after each history.

    Raises:
        LanguageModelError: No text, a word outside the vocabulary, a sentence mark among the words.

    Source: Witten & Bell 1991, method C; Chen & Goodman 1998, sections 2.7 and 3; Kneser & Ney 1995.
    """
    if order < 1:
        raise LanguageModelError("an n-gram model needs an order of 1 or more", got=order)
    marks = {SENTENCE_START, SENTENCE_END}.intersection(words)
    if marks:
        raise LanguageModelError(
            "a sentence mark is a word of the lexicon",
            got=sorted(marks),
            hint="remove it: the model adds the marks itself",
        )
    counts = _count(sentences, frozenset(words), order)
    if smoothing == "kneser_ney":
        counts = _predecessor_counts(counts)
        splits = [_kneser_ney_split(order_counts) for order_counts in counts]
    elif smoothing == "witten_bell":
        splits = [_witten_bell_split] * order
    else:
        raise LanguageModelError("unknown smoothing", expected="witten_bell or kneser_ney", got=smoothing)
    return _interpolate(counts, splits, sorted({*words, SENTENCE_END}))


def uniform_ngram(words: Collection[str]) -> NgramModel:
    """Return a model of order 1 that gives each word and ``</s>`` the same probability: a loop of words."""
    log_prob = -math.log10(len(words) + 1)
    log_probs: dict[Ngram, float] = {(word,): log_prob for word in (*words, SENTENCE_END)}
    log_probs[(SENTENCE_START,)] = LOG10_ZERO
    return NgramModel((log_probs,))


def _count(
    sentences: Iterable[Sequence[str]], vocabulary: frozenset[str], order: int
) -> list[Counter[Ngram]]:
    """Return the counts of k-grams for k = 1 .. order."""
    counts: list[Counter[Ngram]] = [Counter() for _ in range(order)]
    for number, sentence in enumerate(sentences, start=1):
        if not sentence:
            continue
        for word in sentence:
            if word not in vocabulary:
                raise LanguageModelError(
                    f'word "{word}" of the language model text is not in the lexicon',
                    where=f"sentence {number}",
                    hint="add its pronunciation or leave the sentence out",
                )
        padded = (SENTENCE_START, *sentence, SENTENCE_END)
        for end in range(2, len(padded) + 1):
            for length in range(1, min(order, end) + 1):
                ngram = padded[end - length : end]
                counts[length - 1][ngram] += 1
    if not counts[0]:
        raise LanguageModelError("the language model text has no words")
    return counts


def _predecessor_counts(counts: list[Counter[Ngram]]) -> list[Counter[Ngram]]:
    """Return Kneser-Ney's counts: distinct predecessors below the highest order."""
    adjusted: list[Counter[Ngram]] = []
    for lower, higher in pairwise(counts):
        # No n-gram stands before <s>, so those that begin with it keep their counts.
        kept = Counter({ngram: count for ngram, count in lower.items() if ngram[0] == SENTENCE_START})
        kept.update(ngram[1:] for ngram in higher)
        adjusted.append(kept)
    return [*adjusted, counts[-1]]


def _witten_bell_split(count: int) -> tuple[float, float]:
    return float(count), 1.0


def _kneser_ney_split(counts: Counter[Ngram]) -> _Split:
    discounts = kneser_ney_discounts(Counter(counts.values()))

    def split(count: int) -> tuple[float, float]:
        discount = discounts[min(count, 3) - 1]
        return count - discount, discount

    return split


def kneser_ney_discounts(counts_of_counts: Counter[int]) -> tuple[float, float, float]:
    """Return the discounts of n-grams seen once, twice, and three times or more.

    A small text may not give them: where one of the three would not be above 0, Y alone serves all counts;
    where Y cannot be estimated, 0.5, 1 and 1.5 (KenLM's fallback) do.

    Args:
        counts_of_counts: Maps r to the number of n-grams that were seen r times.

    Source: Chen & Goodman 1998, equation 26: Y = n1 / (n1 + 2 n2), D(r) = r - (r + 1) Y n(r + 1) / n(r).
    """
    n1, n2, n3, n4 = (counts_of_counts[r] for r in (1, 2, 3, 4))
    if n1 == 0 or n2 == 0:
        return _FALLBACK_DISCOUNTS
    y = n1 / (n1 + 2 * n2)
    if n3 == 0:
        return y, y, y
    discounts = (y, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3)
    return discounts if all(discount > 0 for discount in discounts) else (y, y, y)


def _interpolate(counts: list[Counter[Ngram]], splits: list[_Split], vocabulary: list[str]) -> NgramModel:
    """Return the model of all orders, from the uniform distribution upward."""
    kept, freed, denominator = next(iter(_histories(counts[0], splits[0]).values()))
    uniform = freed / len(vocabulary)
    probs: list[dict[Ngram, float]] = [
        {(word,): (kept.get((word,), 0.0) + uniform) / denominator for word in vocabulary}
    ]
    backoffs: dict[Ngram, float] = {}
    for order_counts, split in zip(counts[1:], splits[1:], strict=True):
        order_probs: dict[Ngram, float] = {}
        for history, (kept, freed, denominator) in _histories(order_counts, split).items():
            for ngram, share in kept.items():
                # What follows the history follows the shorter one too, so the entry is there.
                order_probs[ngram] = (share + freed * probs[-1][ngram[1:]]) / denominator
            backoffs[history] = math.log10(freed / denominator)
        probs.append(order_probs)
    log_probs = tuple(
        {ngram: math.log10(prob) for ngram, prob in order_probs.items()} for order_probs in probs
    )
    log_probs[0][(SENTENCE_START,)] = LOG10_ZERO
    return NgramModel(log_probs, backoffs)


def _histories(counts: Counter[Ngram], split: _Split) -> dict[Ngram, tuple[dict[Ngram, float], float, float]]:
    """Return for each history: what its n-grams keep, what is freed, and the sum of both."""
    kept: dict[Ngram, dict[Ngram, float]] = defaultdict(dict)
    freed: dict[Ngram, float] = defaultdict(float)
    for ngram, count in counts.items():
        kept[ngram[:-1]][ngram], free = split(count)
        freed[ngram[:-1]] += free
    return {
        history: (shares, freed[history], sum(shares.values()) + freed[history])
        for history, shares in kept.items()
    }
