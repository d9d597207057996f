from __future__ import annotations

import itertools

import numpy as np
import pytest
from exhaustive_search import Exhaustive

from asr_kd.decode.beam import DecodeConfig, decode_utterance
from asr_kd.decode.graph import GraphConfig, build_graph
from asr_kd.decode.lattice import LatticeConfig, decode_lattice
from asr_kd.decode.rescore import Rescorer, grammar_cost
from asr_kd.decode.streaming import StreamingDecoder
from asr_kd.errors import ConfigError, LanguageModelError, ModelError
from asr_kd.lang.hmm import HmmTopology, monophone_hmm
from asr_kd.lang.ngram import estimate_ngram, uniform_ngram
from asr_kd.lang.phones import PhoneSet
from tests.support.graph_cases import LEXICONS, TEXTS, make_lexicon

WIDE = DecodeConfig(acoustic_scale=1.0, beam=1000.0, max_active=100_000)
ALL = LatticeConfig(beam=1000.0, lattice_beam=500.0)
CONFIG = GraphConfig(silence_probability=0.4, transition_scale=0.5)
TOLERANCE = 0.02  # determinisation takes costs for equal that differ by less than 1/1024


def case(name: str, order: int):
    lexicon = make_lexicon(LEXICONS[name])
    hmm = monophone_hmm(PhoneSet.from_lexicon(lexicon), HmmTopology(1, 1))
    return lexicon, hmm, estimate_ngram([line.split() for line in TEXTS[name]], lexicon.words, order)


def matrix(hmm, num_frames: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 2, (num_frames, hmm.num_pdfs)).astype(np.float32)


@pytest.mark.parametrize("name", LEXICONS)
def test_the_list_is_that_of_trying_every_word_sequence(name):
    lexicon, hmm, lm = case(name, 2)
    scores = matrix(hmm, 4)
    found = decode_lattice(build_graph(lexicon, hmm, lm, CONFIG), scores, WIDE, ALL)
    exhaustive = Exhaustive(lexicon, hmm, lm, scores, CONFIG)
    sequences = [words for length in range(5) for words in itertools.product(lexicon.words, repeat=length)]
    costs = {words: exhaustive.cost(words) for words in sequences}
    possible = {words: cost for words, cost in costs.items() if np.isfinite(cost)}
    assert found.lattice is not None
    candidates = found.lattice.nbest(len(sequences) + 10)
    assert {each.words for each in candidates} == set(possible)
    for candidate in candidates:
        assert candidate.cost == pytest.approx(possible[candidate.words], abs=TOLERANCE)
    assert found.best.cost == pytest.approx(candidates[0].cost, abs=TOLERANCE)


@pytest.mark.parametrize("name", LEXICONS)
@pytest.mark.parametrize("seed", range(3))
def test_rescoring_is_decoding_with_the_larger_model(name, seed):
    lexicon, hmm, small = case(name, 1)
    large = case(name, 3)[2]
    scores = matrix(hmm, 5, seed)
    lattice = decode_lattice(build_graph(lexicon, hmm, small, CONFIG), scores, WIDE, ALL).lattice
    assert lattice is not None
    rescored = Rescorer(small, large).rescore(lattice.nbest(5000))
    direct = decode_lattice(build_graph(lexicon, hmm, large, CONFIG), scores, WIDE, ALL).lattice
    assert direct is not None
    expected = {each.words: each.cost for each in direct.nbest(5000)}
    assert rescored[0].cost == pytest.approx(min(expected.values()), abs=2 * TOLERANCE)
    for candidate in rescored[:50]:
        assert candidate.cost == pytest.approx(expected[candidate.words], abs=2 * TOLERANCE)


def test_grammar_cost_is_that_of_the_cheapest_path_through_the_grammar():
    lexicon, hmm, lm = case("prefixes", 3)
    exhaustive = Exhaustive(lexicon, hmm, lm, matrix(hmm, 1), CONFIG)
    for words in itertools.product(lexicon.words, repeat=3):
        expected = exhaustive._grammar_cost(("<s>",), (*words, "</s>"))
        assert grammar_cost(lm, words) == pytest.approx(expected)
    assert grammar_cost(lm, ("unheard",)) == np.inf


def test_rescoring_needs_all_words():
    with pytest.raises(LanguageModelError, match="lacks 1 words of the graph's: b"):
        Rescorer(uniform_ngram(["a", "b"]), uniform_ngram(["a"]))


def test_a_narrow_beam_grows_until_it_holds_the_best_path():
    lexicon, hmm, lm = case("prefixes", 2)
    graph = build_graph(lexicon, hmm, lm, CONFIG)
    for seed in range(3):
        found = decode_lattice(
            graph, matrix(hmm, 30, seed), WIDE, LatticeConfig(0.5, 2.0, widest_beam=1000.0)
        )
        assert found.lattice is not None
        assert found.lattice.nbest(1)[0].cost == pytest.approx(found.best.cost, abs=TOLERANCE)


def test_nothing_recognised():
    lexicon, hmm, lm = case("prefixes", 2)
    graph = build_graph(lexicon, hmm, lm, CONFIG)
    assert decode_lattice(graph, np.zeros((0, hmm.num_pdfs), np.float32), WIDE).lattice is None
    assert decode_lattice(graph, np.full((5, hmm.num_pdfs), -np.inf, np.float32), WIDE).lattice is None


@pytest.mark.parametrize("beams", [(0.0, 1.0), (1.0, -1.0)])
def test_beams_are_checked(beams):
    with pytest.raises(ConfigError, match="out of range"):
        LatticeConfig(*beams)


@pytest.mark.parametrize("num_frames", [1, 7, 100])
def test_search_in_pieces_is_search_at_once(num_frames):
    lexicon, hmm, lm = case("several pronunciations", 2)
    graph = build_graph(lexicon, hmm, lm, CONFIG)
    config = DecodeConfig(acoustic_scale=0.7, beam=12.0, max_active=50)
    scores = matrix(hmm, 60)
    decoder = StreamingDecoder(graph, config)
    assert decoder.partial_words() == decoder.finish().words == ()
    heard = []
    for start in range(0, len(scores), num_frames):
        decoder.accept(scores[start : start + num_frames])
        decoder.accept(scores[:0])
        heard.append(decoder.partial_words())
    expected = decode_utterance(graph, scores, 0.7, 12.0, 50)
    assert decoder.finish() == expected
    assert expected.words != ()
    assert len(set(heard)) > 1 or num_frames == 100


def test_a_piece_of_another_width():
    lexicon, hmm, lm = case("prefixes", 2)
    decoder = StreamingDecoder(build_graph(lexicon, hmm, lm, CONFIG), WIDE)
    with pytest.raises(ModelError, match="do not fit the decoding graph"):
        decoder.accept(np.zeros((3, hmm.num_pdfs + 1), np.float32))
