"""Lattices of HMM states: their order, their frames, and their paths."""

from __future__ import annotations

import numpy as np
import pytest

from asr_kd.decode.beam import decode_utterance
from asr_kd.decode.graph import build_graph
from asr_kd.decode.state_lattice import NO_FRAME, state_lattice
from asr_kd.errors import ModelError
from asr_kd.lang.hmm import HmmTopology, monophone_hmm
from asr_kd.lang.lexicon import Lexicon
from asr_kd.lang.ngram import estimate_ngram
from asr_kd.lang.phones import PhoneSet
from tests.support.small_lattice import NUM_FRAMES, paths, small_lattice

LEXICON = Lexicon({"ka": [("K", "A")], "a": [("A",)], "ak": [("A", "K")]})
HMM = monophone_hmm(PhoneSet.from_lexicon(LEXICON), HmmTopology(1, 1))
GRAPH = build_graph(LEXICON, HMM, estimate_ngram([["ka", "a"], ["ak"]], LEXICON.words, 1, "witten_bell"))


def test_arcs_lead_to_later_states_and_lie_in_their_order() -> None:
    lattice = small_lattice()
    arcs = lattice.arcs
    assert lattice.num_states == 7  # those of the FST, and one in which all paths end
    assert (arcs["source"] < arcs["target"]).all()
    assert (np.diff(arcs["source"]) >= 0).all()
    assert set(arcs["target"][arcs["target"] == 6]) == {6}


def test_each_path_takes_every_frame_once() -> None:
    lattice = small_lattice()
    found = [lattice.arcs[path] for path in paths(lattice)]
    assert len(found) == 10  # by hand: (1 + 2 * 2) ways to the second state, two to the end
    assert lattice.num_frames == NUM_FRAMES
    for path in found:
        frames = path["frame"][path["frame"] != NO_FRAME]
        # The two ways differ in where the frame is taken, not in how many there are.
        assert frames.tolist() == list(range(NUM_FRAMES))
    costs = sorted(round(float(path["cost"].sum()), 3) for path in found)
    # Cheapest: states 5, 4, 2, 0 and the final cost.
    assert costs[0] == pytest.approx(0.5 + 0.0 + 0.2 + 0.25)


def test_the_best_path_is_the_plain_search_s() -> None:
    scores = np.random.default_rng(3).normal(size=(12, HMM.num_pdfs)).astype(np.float32) * 3
    lattice = state_lattice(GRAPH, scores, 0.5, beam=30.0, lattice_beam=6.0)
    assert lattice is not None
    own = 0.5 * scores[lattice.arcs["frame"], lattice.arcs["pdf_id"]]
    weights = np.where(lattice.arcs["frame"] == NO_FRAME, 0, own) - lattice.arcs["cost"]
    best = np.full(lattice.num_states, -np.inf)
    best[0] = 0
    for arc, weight in zip(lattice.arcs, weights, strict=True):
        best[arc["target"]] = max(best[arc["target"]], best[arc["source"]] + weight)
    assert -best[-1] == pytest.approx(decode_utterance(GRAPH, scores, 0.5, 30.0, 1000).cost, abs=1e-3)


def test_a_wider_lattice_beam_keeps_more_paths() -> None:
    scores = np.random.default_rng(4).normal(size=(20, HMM.num_pdfs)).astype(np.float32)
    narrow = state_lattice(GRAPH, scores, 0.5, beam=20.0, lattice_beam=1.0)
    wide = state_lattice(GRAPH, scores, 0.5, beam=20.0, lattice_beam=8.0)
    assert narrow is not None
    assert wide is not None
    assert len(narrow.arcs) < len(wide.arcs)


def test_no_frames_no_lattice_and_a_wrong_width_is_refused() -> None:
    assert state_lattice(GRAPH, np.zeros((0, HMM.num_pdfs), np.float32), 0.1, 8.0, 4.0) is None
    with pytest.raises(ModelError, match="do not fit the decoding graph"):
        state_lattice(GRAPH, np.zeros((5, HMM.num_pdfs - 1), np.float32), 0.1, 8.0, 4.0)
