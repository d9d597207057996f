from __future__ import annotations

import math
from itertools import product

import pytest

from asr_kd.errors import LanguageModelError
from asr_kd.lang.arpa import read_arpa, write_arpa
from asr_kd.lang.ngram import LOG10_ZERO, NgramModel, estimate_ngram
from asr_kd.lang.prune import divergence_increases, prune_ngram

WORDS = ["a", "b", "c"]
TEXT = [line.split() for line in ("a b a c", "b a", "a b a c a", "c c b", "a b a", "b c a b")]

# p(a) = 1/2, p(b) = p(</s>) = 1/4; p(b | a) = 1/2, so a leaves 1/2 for a and </s>, which have 3/4 below: 2/3.
HALF, QUARTER = math.log10(0.5), math.log10(0.25)
SMALL = NgramModel(
    ({("a",): HALF, ("b",): QUARTER, ("</s>",): QUARTER, ("<s>",): LOG10_ZERO}, {("a", "b"): HALF}),
    {("a",): math.log10(2 / 3)},
)
# p(h = a) = 1/2; b loses 1/2 ln 2, a (1/3 to 1/2) and </s> (1/6 to 1/4) together gain 1/2 ln(3/2).
SMALL_INCREASE = 0.5 * (0.5 * math.log(2) + 0.5 * math.log(2 / 3))


def history_prob(lm, history):
    first = "</s>" if history[0] == "<s>" else history[0]
    prob = 10 ** lm.log_prob(first)
    for position in range(1, len(history)):
        prob *= 10 ** lm.log_prob(history[position], history[:position])
    return prob


def all_histories(order):
    yield from product(["<s>", *WORDS], *[WORDS] * (order - 2))


def divergence(before, after, order):
    """Relative entropy by summing over all histories of full length and all words."""
    return sum(
        history_prob(before, history) * p * math.log(10) * (math.log10(p) - after.log_prob(word, history))
        for history in all_histories(order)
        for word in [*WORDS, "</s>"]
        for p in [10 ** before.log_prob(word, history)]
    )


def without(lm, ngram):
    """Remove one n-gram of the highest order and renormalise its history."""
    history = ngram[:-1]
    top = {other: value for other, value in lm.log_probs[-1].items() if other != ngram}
    explicit = [other[-1] for other in top if other[:-1] == history]
    left = 1 - sum(10 ** top[(*history, word)] for word in explicit)
    lower_left = 1 - sum(10 ** lm.log_prob(word, history[1:]) for word in explicit)
    return NgramModel((*lm.log_probs[:-1], top), {**lm.backoffs, history: math.log10(left / lower_left)})


def test_increase_by_hand():
    assert divergence_increases(SMALL, 2) == pytest.approx({("a", "b"): SMALL_INCREASE})
    assert pytest.approx(0.0719205, abs=1e-7) == SMALL_INCREASE


def test_the_threshold_is_a_share_of_the_perplexity():
    share = math.exp(SMALL_INCREASE) - 1
    assert prune_ngram(SMALL, share * 0.999) == SMALL
    assert prune_ngram(SMALL, share * 1.001) == NgramModel(SMALL.log_probs[:1], {})


@pytest.mark.parametrize("order", [2, 3])
@pytest.mark.parametrize("smoothing", ["witten_bell", "kneser_ney"])
def test_increase_is_the_divergence_by_brute_force(order, smoothing):
    lm = estimate_ngram(TEXT, WORDS, order, smoothing)
    increases = divergence_increases(lm, order)
    assert set(increases) == set(lm.log_probs[-1])
    for ngram, increase in increases.items():
        assert increase == pytest.approx(divergence(lm, without(lm, ngram), order), abs=1e-12)


@pytest.mark.parametrize("threshold", [1e-4, 1e-3, 1e-2, 10])
@pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
def test_probabilities_sum_to_1_after_every_history(order, threshold):
    lm = prune_ngram(estimate_ngram(TEXT, WORDS, order), threshold)
    for length in range(order):
        for history in product(["<s>", *WORDS], repeat=length):
            total = sum(10 ** lm.log_prob(word, history) for word in [*WORDS, "</s>"])
            assert total == pytest.approx(1, abs=1e-9)


def test_higher_thresholds_leave_fewer_ngrams():
    lm = estimate_ngram(TEXT, WORDS, 3)
    sizes = [
        [len(log_probs) for log_probs in prune_ngram(lm, threshold).log_probs]
        for threshold in (1e-12, 1e-2, 3e-2, 10)
    ]
    assert sizes[0][-1] == len(lm.log_probs[-1])
    assert sizes == sorted(sizes, reverse=True)
    assert len({sum(size) for size in sizes}) == 4
    assert sizes[-1] == [5]


def test_what_a_longer_ngram_builds_on_stays():
    for threshold in (1e-3, 3e-3, 1e-2):
        lm = prune_ngram(estimate_ngram(TEXT, WORDS, 3), threshold)
        for log_probs, longer in zip(lm.log_probs, lm.log_probs[1:], strict=False):
            assert {ngram[:-1] for ngram in longer} <= set(log_probs)


def test_kept_ngrams_keep_their_probability():
    before = estimate_ngram(TEXT, WORDS, 3)
    after = prune_ngram(before, 3e-3)
    assert 0 < len(after.log_probs[-1]) < len(before.log_probs[-1])
    for old, new in zip(before.log_probs, after.log_probs, strict=True):
        assert new.items() <= old.items()


def test_a_model_that_lacks_words_keeps_its_sums(tmp_path):
    write_arpa(tmp_path / "lm.arpa", estimate_ngram(TEXT, WORDS, 3))
    before = read_arpa(tmp_path / "lm.arpa", ["a", "b"]).model
    after = prune_ngram(before, 1e-2)
    assert len(after.log_probs[-1]) < len(before.log_probs[-1])
    for history in ((), ("a",), ("b",), ("<s>",), ("a", "b"), ("<s>", "a"), ("b", "b")):
        old, new = (
            sum(10 ** lm.log_prob(word, history) for word in ("a", "b", "</s>")) for lm in (before, after)
        )
        assert new == pytest.approx(old, abs=1e-9)


def test_a_pruned_model_as_arpa_file(tmp_path):
    lm = prune_ngram(estimate_ngram(TEXT, WORDS, 3), 3e-3)
    write_arpa(tmp_path / "lm.arpa", lm)
    assert read_arpa(tmp_path / "lm.arpa", WORDS).model.fingerprint() == lm.fingerprint()


@pytest.mark.parametrize("threshold", [0.0, -1e-8, math.nan])
def test_a_threshold_that_is_not_above_0_is_refused(threshold):
    with pytest.raises(LanguageModelError, match="threshold is not above 0"):
        prune_ngram(SMALL, threshold)
