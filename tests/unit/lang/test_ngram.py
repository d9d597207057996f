from __future__ import annotations

import math
from collections import Counter
from itertools import product
from pathlib import Path

import pytest

from asr_kd.errors import LanguageModelError
from asr_kd.lang.ngram import Smoothing, estimate_ngram, kneser_ney_discounts, uniform_ngram

TINY = [["a", "b"], ["a"]]
WORDS = ["a", "b", "c"]  # c is in the lexicon alone
TEXT = [line.split() for line in ("a b a c", "b a", "a b a c a", "c c b", "a", "b a b a c")]


def prob(lm, word, *history):
    return 10 ** lm.log_prob(word, history)


def test_witten_bell_by_hand():
    """Events a 2, b 1, </s> 2: 5 events of 3 types over 4 symbols, so p(w) = (c + 3/4) / 8."""
    lm = estimate_ngram(TINY, WORDS, 2, "witten_bell")
    assert prob(lm, "a") == pytest.approx(0.34375)
    assert prob(lm, "b") == pytest.approx(0.21875)
    assert prob(lm, "c") == pytest.approx(0.09375)
    assert prob(lm, "</s>") == pytest.approx(0.34375)
    # After <s>: a 2, one type: (2 + p(a)) / 3. After a: b 1 and </s> 1, two types: (1 + 2 p(w)) / 4.
    assert prob(lm, "a", "<s>") == pytest.approx(2.34375 / 3)
    assert prob(lm, "b", "<s>") == pytest.approx(0.21875 / 3)
    assert prob(lm, "b", "a") == pytest.approx(0.359375)
    assert prob(lm, "</s>", "a") == pytest.approx(0.421875)
    assert prob(lm, "c", "a") == pytest.approx(0.046875)
    assert 10 ** lm.backoffs[("a",)] == pytest.approx(0.5)


def test_kneser_ney_by_hand():
    """Predecessors: a {<s>}, b {a}, </s> {a, b}: n1 2, n2 1, Y = 1/2. Bigrams: n1 3, n2 1, Y = 0.6."""
    lm = estimate_ngram(TINY, WORDS, 2, "kneser_ney")
    assert prob(lm, "a") == pytest.approx((0.5 + 1.5 / 4) / 4)
    assert prob(lm, "b") == pytest.approx((0.5 + 1.5 / 4) / 4)
    assert prob(lm, "</s>") == pytest.approx((1.5 + 1.5 / 4) / 4)
    assert prob(lm, "c") == pytest.approx(1.5 / 4 / 4)
    assert prob(lm, "b", "a") == pytest.approx((0.4 + 1.2 * 0.21875) / 2)
    assert prob(lm, "</s>", "a") == pytest.approx((0.4 + 1.2 * 0.46875) / 2)
    assert prob(lm, "a", "<s>") == pytest.approx((1.4 + 0.6 * 0.21875) / 2)
    assert 10 ** lm.backoffs[("a",)] == pytest.approx(0.6)


def test_kneser_ney_keeps_the_counts_of_sentence_starts():
    """In a 3-gram model "<s> a" keeps its count 2, the other bigrams have one predecessor each."""
    lm = estimate_ngram(TINY, WORDS, 3, "kneser_ney")
    assert prob(lm, "a", "<s>") == pytest.approx((1.4 + 0.6 * 0.21875) / 2)
    # All three trigrams are seen once: the fallback discount 0.5 of each, 1 of 2 freed.
    assert prob(lm, "b", "<s>", "a") == pytest.approx((0.5 + 1.0 * 0.33125) / 2)


@pytest.mark.parametrize(
    ("counts_of_counts", "expected"),
    [
        # Y = 4 / 10; D2 = 2 - 3 Y 2/3; D3 = 3 - 4 Y 1/2
        ({1: 4, 2: 3, 3: 2, 4: 1}, (0.4, 1.2, 2.2)),
        # No n-gram three times: Y for all. D2 = 2 - 3 * 0.5 * 4 < 0: Y for all.
        ({1: 4, 2: 3}, (0.4, 0.4, 0.4)),
        ({1: 2, 2: 1, 3: 4}, (0.5, 0.5, 0.5)),
        ({1: 5}, (0.5, 1.0, 1.5)),
        ({2: 5, 3: 1}, (0.5, 1.0, 1.5)),
    ],
)
def test_kneser_ney_discounts(counts_of_counts, expected):
    assert kneser_ney_discounts(Counter(counts_of_counts)) == pytest.approx(expected)


@pytest.mark.parametrize("smoothing", ["witten_bell", "kneser_ney"])
@pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
def test_probabilities_sum_to_one_after_every_history(smoothing: Smoothing, order: int):
    words = [*WORDS, "d", "e"]
    lm = estimate_ngram(TEXT, words, order, smoothing)
    assert lm.order == order
    histories = [h for length in range(order) for h in product(["<s>", *words], repeat=length)]
    for history in histories:
        total = sum(prob(lm, word, *history) for word in (*words, "</s>"))
        assert total == pytest.approx(1, abs=1e-9), history


@pytest.mark.parametrize("smoothing", ["witten_bell", "kneser_ney"])
def test_unseen_words_share_what_is_left(smoothing: Smoothing):
    lm = estimate_ngram(TEXT, [*WORDS, "d", "e"], 3, smoothing)
    assert 0 < prob(lm, "d") == prob(lm, "e") < prob(lm, "c")
    assert prob(lm, "d", "a", "b") > 0


def test_history_is_cut_to_the_order():
    lm = estimate_ngram(TEXT, WORDS, 2)
    assert lm.log_prob("a", ("c", "c", "b")) == lm.log_prob("a", ("b",))
    assert lm.log_prob("nothing", ("a",)) == -math.inf


def test_perplexity_by_hand():
    """p(a | <s>) = 0.78125, p(</s> | a) = 0.421875."""
    lm = estimate_ngram(TINY, WORDS, 2)
    found = lm.perplexity([["a"]])
    assert found.perplexity == pytest.approx((0.78125 * 0.421875) ** -0.5)
    assert (found.num_events, found.num_unknown) == (2, 0)


def test_perplexity_counts_unknown_words():
    found = estimate_ngram(TINY, WORDS, 2).perplexity([["a", "other"]])
    assert (found.num_events, found.num_unknown) == (2, 1)


def test_perplexity_of_a_uniform_model_is_its_size():
    assert uniform_ngram(WORDS).perplexity([["a", "c"], ["b"]]).perplexity == pytest.approx(4)
    assert uniform_ngram(WORDS).words == ("a", "b", "c")


def test_longer_histories_help_on_the_training_text():
    values = [estimate_ngram(TEXT, WORDS, order).perplexity(TEXT).perplexity for order in (1, 2, 3)]
    assert values[0] > values[1] > values[2] > 1


def test_empty_sentences_are_passed_over():
    assert estimate_ngram([[], *TINY, []], WORDS, 2) == estimate_ngram(TINY, WORDS, 2)


def test_fingerprint_follows_the_content():
    lm = estimate_ngram(TEXT, WORDS, 2)
    assert lm.fingerprint() == estimate_ngram(TEXT, WORDS[::-1], 2).fingerprint()
    assert lm.fingerprint() != estimate_ngram(TEXT, WORDS, 2, "kneser_ney").fingerprint()


@pytest.mark.parametrize(
    ("sentences", "words", "order", "message"),
    [
        ([], WORDS, 2, "has no words"),
        ([[]], WORDS, 2, "has no words"),
        ([["a"], ["a", "zebra"]], WORDS, 2, r'sentence 2: word "zebra" .* not in the lexicon'),
        (TINY, [*WORDS, "<s>"], 2, "sentence mark"),
        (TINY, WORDS, 0, "order of 1 or more"),
    ],
)
def test_errors(sentences, words, order, message):
    with pytest.raises(LanguageModelError, match=message):
        estimate_ngram(sentences, words, order)


def test_on_real_text(shared_data: Path):
    folder = shared_data / "speechocean762"
    lexicon = (folder / "resource/lexicon.txt").read_text().splitlines()
    words = {line.split()[0] for line in lexicon}
    train, test = (
        [line.split()[1:] for line in (folder / part / "text").read_text().splitlines()]
        for part in ("train", "test")
    )
    values = {
        (order, smoothing): estimate_ngram(train, words, order, smoothing).perplexity(test).perplexity
        for order, smoothing in product((1, 2, 3), ("witten_bell", "kneser_ney"))
    }
    for smoothing in ("witten_bell", "kneser_ney"):
        assert len(words) > values[1, smoothing] > values[2, smoothing]
    # Chen & Goodman 1998: Kneser-Ney wins, and it gains from the third word where Witten-Bell does not.
    assert (
        values[3, "kneser_ney"]
        < values[2, "kneser_ney"]
        < values[2, "witten_bell"]
        < values[3, "witten_bell"]
    )
