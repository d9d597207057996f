from __future__ import annotations

import math

import numpy as np
import pytest

from asr_kd.decode.beam import DecodeConfig, decode_utterance
from asr_kd.decode.graph import DecodingGraph, GraphConfig, build_graph
from asr_kd.errors import ConfigError, ModelError
from asr_kd.lang.hmm import HmmTopology, monophone_hmm
from asr_kd.lang.lexicon import Lexicon
from asr_kd.lang.ngram import uniform_ngram
from asr_kd.lang.phones import PhoneSet

LEXICON = Lexicon({"ab": (("A", "B"),), "c": (("C", "C", "C"),)})
HMM = monophone_hmm(PhoneSet.from_lexicon(LEXICON), HmmTopology(1, 1))  # pdfs: SIL A B C


@pytest.fixture(scope="module")
def graph() -> DecodingGraph:
    config = GraphConfig(silence_probability=0.0, transition_scale=1.0)
    return build_graph(LEXICON, HMM, uniform_ngram(LEXICON.words), config)


def decode(graph, scores, acoustic_scale=1.0, beam=50.0):
    return decode_utterance(graph, np.asarray(scores, np.float32), acoustic_scale, beam, 1000)


def test_cost_by_hand(graph):
    """Three equally likely events (ab, c, </s>), two of them used; leaving a state costs -ln 0.25."""
    found = decode(graph, [[-9, -1, -9, -9], [-9, -9, -2, -9]], acoustic_scale=0.5)
    assert found.words == ("ab",)
    assert found.text == "ab"
    assert found.reached_final
    assert found.cost == pytest.approx(2 * math.log(3) - 2 * math.log(0.25) + 0.5 * 3, abs=0.005)


def test_partial_path_where_no_final_state_is_reached(graph):
    found = decode(graph, [[0, 5, 0, 0]])
    assert found.words == ("ab",)
    assert not found.reached_final
    assert found.cost < math.inf


def test_no_frames(graph):
    found = decode(graph, np.zeros((0, 4)))
    assert (found.words, found.cost, found.reached_final) == ((), math.inf, False)


@pytest.mark.parametrize("frame", [0, 3, 5])
def test_nothing_survives_an_impossible_frame(graph, frame):
    scores = np.zeros((6, 4))
    scores[frame] = -np.inf
    found = decode(graph, scores)
    assert (found.words, found.text, found.cost, found.reached_final) == ((), "", math.inf, False)


def test_impossible_senones_are_avoided(graph):
    scores = np.zeros((6, 4))
    scores[:, 3] = -np.inf
    assert set(decode(graph, scores).words) == {"ab"}


def test_matrix_is_left_as_it_was_and_may_be_float64_or_transposed(graph):
    scores = np.random.default_rng(0).normal(size=(4, 9))
    expected = decode(graph, scores.T)
    copy = scores.copy()
    assert decode_utterance(graph, scores.T, 1.0, 50.0, 1000) == expected
    assert np.array_equal(scores, copy)


@pytest.mark.parametrize("shape", [(5, 3), (5, 5), (4,)])
def test_matrix_of_another_width(graph, shape):
    with pytest.raises(ModelError, match=r"do not fit the decoding graph; expected \[T, 4\], got"):
        decode(graph, np.zeros(shape))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_scores_that_are_no_numbers(graph, value):
    scores = np.zeros((5, 4))
    scores[2, 1] = value
    with pytest.raises(ModelError, match="NaN or plus infinity"):
        decode(graph, scores)


@pytest.mark.parametrize("settings", [{"acoustic_scale": 0.0}, {"beam": -1.0}, {"max_active": 1}])
def test_config_is_checked(settings):
    with pytest.raises(ConfigError, match="out of range"):
        DecodeConfig(**settings)
