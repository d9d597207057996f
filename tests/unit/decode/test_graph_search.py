"""The graph's best path against exhaustive search over word sequences."""

from __future__ import annotations

import math
import random
from pathlib import Path

import numpy as np
import pytest
from exhaustive_search import Exhaustive

from asr_kd.decode.beam import decode_utterance
from asr_kd.decode.graph import GraphConfig, build_graph, with_insertion_penalty
from asr_kd.lang.hmm import Hmm, HmmTopology, monophone_hmm
from asr_kd.lang.lexicon import Lexicon, read_lexicon
from asr_kd.lang.ngram import NgramModel, estimate_ngram, uniform_ngram
from asr_kd.lang.phones import PhoneSet
from asr_kd.lang.tree import MonophoneTree
from tests.support.graph_cases import LEXICONS, TEXTS, make_lexicon

# Minimization rounds each arc's weight to 1/1024.
TOLERANCE = 0.02


def make_hmm(lexicon: Lexicon, num_states: int, rng: np.random.Generator) -> Hmm:
    phone_set = PhoneSet.from_lexicon(lexicon)
    topology = HmmTopology(num_states, 1)
    tree = MonophoneTree(phone_set, topology)
    return Hmm(phone_set, topology, tree, rng.uniform(0.2, 0.9, tree.num_pdfs))


def check(
    lexicon: Lexicon,
    hmm: Hmm,
    lm: NgramModel,
    scores: np.ndarray,
    silence_probability: float,
    scale: float = 1.0,
    transition_scale: float = 1.0,
) -> tuple[str, ...]:
    """Compare the decoder's cost and words with the exhaustive search; return the words."""
    config = GraphConfig(silence_probability, transition_scale)
    graph = build_graph(lexicon, hmm, lm, config)
    found = decode_utterance(graph, scores, scale, beam=1e4, max_active=100_000)
    exhaustive = Exhaustive(lexicon, hmm, lm, scores * np.float32(scale), config)
    cost, _ = exhaustive.best()
    assert found.reached_final == (cost < math.inf)
    if cost == math.inf:  # no word sequence has so few frames
        return found.words
    assert found.cost == pytest.approx(cost, abs=TOLERANCE)
    # Words that tie within the rounding of weights are as good.
    assert exhaustive.cost(found.words) == pytest.approx(cost, abs=TOLERANCE)
    return found.words


@pytest.mark.parametrize("silence_probability", [0.0, 0.5, 0.2])
@pytest.mark.parametrize("order", [1, 2, 3, 5])
@pytest.mark.parametrize("name", LEXICONS)
def test_special_lexicons(name, order, silence_probability):
    rng = np.random.default_rng(order)
    lexicon = make_lexicon(LEXICONS[name])
    hmm = make_hmm(lexicon, 1, rng)
    lm = estimate_ngram([line.split() for line in TEXTS[name]], lexicon.words, order)
    seen = set()
    for _ in range(6):
        scores = rng.normal(0, 2.5, (6, hmm.num_pdfs)).astype(np.float32)
        seen.add(check(lexicon, hmm, lm, scores, silence_probability))
    assert seen != {()}


@pytest.mark.parametrize("seed", range(30))
def test_fuzz(seed):
    """Random lexicon, text, order, smoothing, topology, silence and matrix."""
    rng, choice = np.random.default_rng(seed), random.Random(seed)
    phones = ["A", "B", "C"][: choice.randint(1, 3)]
    entries = {
        f"w{number}": tuple(
            {tuple(choice.choices(phones, k=choice.randint(1, 3))) for _ in range(choice.randint(1, 2))}
        )
        for number in range(choice.randint(1, 5))
    }
    lexicon = Lexicon({word: tuple(sorted(found)) for word, found in entries.items()})
    hmm = make_hmm(lexicon, choice.randint(1, 2), rng)
    text = [choice.choices(lexicon.words, k=choice.randint(1, 5)) for _ in range(choice.randint(1, 8))]
    lm = estimate_ngram(
        text, lexicon.words, choice.randint(1, 4), choice.choice(["witten_bell", "kneser_ney"])
    )
    scores = rng.normal(0, 3, (choice.randint(5, 7), hmm.num_pdfs)).astype(np.float32)
    silence_probability, scale, transition_scale = (
        choice.choice(values) for values in ([0.0, 0.5, 0.9], [0.1, 1.0], [0.0, 0.1, 1.0])
    )
    check(lexicon, hmm, lm, scores, silence_probability, scale, transition_scale)


def test_the_language_model_chooses_between_homophones():
    lexicon = make_lexicon(LEXICONS["homophones"])
    hmm = make_hmm(lexicon, 1, np.random.default_rng(0))
    lm = estimate_ngram([["a", "two"], ["a", "two"], ["too", "a"]], lexicon.words, 2)
    labels = {"A": hmm.pdf_ids(2)[0], "T": hmm.pdf_ids(3)[0], "U": hmm.pdf_ids(4)[0]}
    for phones, expected in (("ATU", ("a", "two")), ("TUA", ("too", "a"))):
        scores = np.full((3, hmm.num_pdfs), -20, np.float32)
        for frame, phone in enumerate(phones):
            scores[frame, labels[phone]] = 0
        assert check(lexicon, hmm, lm, scores, 0.5) == expected


@pytest.mark.parametrize("with_trigrams", [False, True])
def test_a_model_that_is_not_interpolated(with_trigrams):
    """ARPA files of other toolkits; the graph allows the back-off arc whatever it costs, as Kaldi's does."""
    lexicon = make_lexicon({"a": ("A",), "b": ("B",), "c": ("C",)})
    hmm = make_hmm(lexicon, 1, np.random.default_rng(0))
    unigrams = {("<s>",): -99.0, ("a",): -0.2, ("b",): -0.6, ("c",): -0.5, ("</s>",): -0.9}
    bigrams = {("<s>", "a"): -3.0, ("a", "b"): -0.1, ("b", "</s>"): -2.0, ("b", "c"): -99.0}
    backoffs = {("<s>",): -0.1, ("a",): 0.3, ("b",): -0.5, ("c",): -0.8}
    # No bigrams begin with "c", and "c a" is missing below "c a b".
    trigrams = {("c", "a", "b"): -0.05, ("<s>", "a", "b"): -0.4}
    more = {("c", "a"): -0.3, ("b", "</s>"): -0.2, ("a", "b"): 0.1}
    lm = NgramModel((unigrams, bigrams), backoffs)
    if with_trigrams:
        lm = NgramModel((unigrams, bigrams, trigrams), backoffs | more)
    rng = np.random.default_rng(1)
    for _ in range(20):
        check(lexicon, hmm, lm, rng.normal(0, 2, (5, hmm.num_pdfs)).astype(np.float32), 0.5)


def test_words_that_the_model_lacks_are_not_recognised():
    lexicon = make_lexicon({"a": ("A",), "b": ("B",), "c": ("C",)})
    hmm = make_hmm(lexicon, 1, np.random.default_rng(0))
    scores = np.random.default_rng(1).normal(0, 2, (6, hmm.num_pdfs)).astype(np.float32)
    assert "b" not in check(lexicon, hmm, uniform_ngram(["a", "c"]), scores, 0.5)


def test_real_lexicon_and_trigrams(shared_data: Path):
    """Sentences of the test speakers, from scores that favour the right senone by a margin over noise."""
    folder = shared_data / "speechocean762"
    lexicon = read_lexicon(folder / "resource/lexicon.txt", strip_stress=True)
    phone_set = PhoneSet.from_lexicon(lexicon)
    hmm = monophone_hmm(phone_set)
    train, test = (
        [tuple(line.split()[1:]) for line in (folder / part / "text").read_text().splitlines()]
        for part in ("train", "test")
    )
    graph = build_graph(lexicon, hmm, estimate_ngram(train, lexicon.words, 3, "kneser_ney"))
    rng = np.random.default_rng(0)
    for words in test[:10]:
        phones = [phone for word in words for phone in lexicon.pronunciations[word][0]]
        pdf_ids = [pdf for phone in ("SIL", *phones, "SIL") for pdf in hmm.pdf_ids(phone_set.phone_id(phone))]
        pdf_ids = np.repeat(pdf_ids, rng.integers(1, 5, len(pdf_ids)))
        scores = rng.normal(0, 1, (len(pdf_ids), hmm.num_pdfs))
        scores[np.arange(len(pdf_ids)), pdf_ids] += 6
        found = decode_utterance(graph, scores, 1.0, beam=15, max_active=3000)
        # Another word with the same phones is as good.
        said = [phone for word in found.words for phone in lexicon.pronunciations[word][0]]
        assert found.reached_final
        assert found.words == words or said == phones


def test_insertion_penalty_lowers_the_number_of_words():
    lexicon = make_lexicon({"a": ("A",), "b": ("B",), "aaa": ("A A A",)})
    hmm = make_hmm(lexicon, 1, np.random.default_rng(0))
    graph = build_graph(lexicon, hmm, uniform_ngram(lexicon.words))
    scores = np.random.default_rng(1).normal(0, 2, (40, hmm.num_pdfs)).astype(np.float32)
    found = [
        decode_utterance(with_insertion_penalty(graph, penalty), scores, 1.0, 1e4, 10_000)
        for penalty in (-5.0, -2.0, 0.0, 2.0, 5.0, 20.0)
    ]
    counts = [len(hypothesis.words) for hypothesis in found]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[2] > counts[-1]


def test_insertion_penalty_is_paid_once_a_word():
    lexicon = make_lexicon(LEXICONS["prefixes"])
    hmm = make_hmm(lexicon, 2, np.random.default_rng(0))
    lm = estimate_ngram([line.split() for line in TEXTS["prefixes"]], lexicon.words, 3)
    graph = build_graph(lexicon, hmm, lm)
    scores = np.random.default_rng(1).normal(0, 4, (30, hmm.num_pdfs)).astype(np.float32)
    plain = decode_utterance(graph, scores, 1.0, 1e4, 10_000)
    dearer = decode_utterance(with_insertion_penalty(graph, 0.01), scores, 1.0, 1e4, 10_000)
    assert len(plain.words) > 2
    assert dearer.words == plain.words
    assert dearer.cost == pytest.approx(plain.cost + 0.01 * len(plain.words), abs=1e-4)
    assert decode_utterance(graph, scores, 1.0, 1e4, 10_000) == plain, "the first graph stays as it was"
