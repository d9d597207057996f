"""Expansion of phones to states against enumeration by hand, and Viterbi search on tiny graphs."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import kaldifst
import numpy as np
import pytest

from asr_kd.errors import GraphError, ModelError
from asr_kd.lang.expand import expand_to_states
from asr_kd.lang.hmm import Hmm, HmmTopology, monophone_hmm
from asr_kd.lang.phones import PhoneSet
from asr_kd.lang.search import check_graph, viterbi_search

Arc = tuple[int, int, int, float, int]  # source, phone id, word, cost, target
Costs = dict[tuple[tuple[int, ...], tuple[int, ...]], float]


def make_fst(arcs: list[Arc], finals: dict[int, float]) -> Any:
    fst = kaldifst.StdVectorFst()
    for _ in range(1 + max(max(arc[0], arc[4]) for arc in arcs)):
        fst.add_state()
    fst.start = 0
    for source, ilabel, olabel, cost, target in arcs:
        fst.add_arc(source, kaldifst.StdArc(ilabel, olabel, cost, target))
    for state, cost in finals.items():
        fst.set_final(state, cost)
    return fst


def two_phone_hmm() -> Hmm:
    phones = PhoneSet(("SIL", "A", "B"))
    hmm = monophone_hmm(phones, HmmTopology(num_states=2, silence_num_states=1))
    return hmm.with_self_loops(np.array([0.9, 0.6, 0.7, 0.2, 0.4]))


def phone_paths(arcs: list[Arc], finals: dict[int, float], hmm: Hmm, state: int, left: int) -> Iterator[Any]:
    """Yield phones, words and cost of each accepting path whose shortest duration is ``left`` at most."""
    if state in finals:
        yield (), (), finals[state]
    for source, phone, word, cost, target in arcs:
        shortest = hmm.num_states(phone) if phone else 0
        if source == state and shortest <= left:
            for phones, words, rest in phone_paths(arcs, finals, hmm, target, left - shortest):
                yield (phone, *phones) if phone else phones, (word, *words) if word else words, cost + rest


def durations(num_states: int, num_frames: int) -> Iterator[tuple[int, ...]]:
    """Yield each way to give every state one frame or more."""
    for cuts in itertools.combinations(range(1, num_frames), num_states - 1):
        yield tuple(end - begin for begin, end in itertools.pairwise((0, *cuts, num_frames)))


def enumerated_by_hand(arcs: list[Arc], finals: dict[int, float], hmm: Hmm, num_frames: int) -> Costs:
    """Best cost of each sequence of pdfs and words: every path, every duration of every state."""
    best: Costs = {}
    loop = hmm.self_loop_probability
    for phones, words, cost in phone_paths(arcs, finals, hmm, 0, num_frames):
        states = [pdf for phone in phones for pdf in hmm.pdf_ids(phone)]
        for lengths in durations(len(states), num_frames) if states else ():
            pdfs = tuple(pdf for pdf, length in zip(states, lengths, strict=True) for _ in range(length))
            total = cost - sum(
                (length - 1) * math.log(loop[pdf]) + math.log(1 - loop[pdf])
                for pdf, length in zip(states, lengths, strict=True)
            )
            best[pdfs, words] = min(total, best.get((pdfs, words), math.inf))
    return best


def accepted_by_graph(graph: Any, num_frames: int) -> Costs:
    """Best cost of each sequence of pdfs and words that the state graph accepts."""
    best: Costs = {}
    stack: list[tuple[int, tuple[int, ...], tuple[int, ...], float, int]] = [(graph.start, (), (), 0.0, 0)]
    while stack:
        state, pdfs, words, cost, num_epsilons = stack.pop()
        final = graph.final(state).value
        if len(pdfs) == num_frames and not math.isinf(final):
            best[pdfs, words] = min(cost + final, best.get((pdfs, words), math.inf))
        for arc in kaldifst.ArcIterator(graph, state):
            after = (*pdfs, arc.ilabel - 1) if arc.ilabel else pdfs
            if len(after) <= num_frames and num_epsilons < 3 * num_frames:
                heard = (*words, arc.olabel) if arc.olabel else words
                stack.append(
                    (arc.nextstate, after, heard, cost + arc.weight.value, num_epsilons + (not arc.ilabel))
                )
    return best


GRAPHS: dict[str, tuple[list[Arc], dict[int, float]]] = {
    "chain": ([(0, 2, 7, 0.5, 1), (1, 3, 0, 0.25, 2)], {2: 0.125}),
    "the same phone twice": ([(0, 2, 7, 0.0, 1), (1, 2, 8, 0.0, 2)], {2: 0.0}),
    "two phones into one state": (
        [(0, 2, 7, 0.1, 1), (0, 3, 8, 0.2, 1), (1, 1, 0, 0.3, 2)],
        {1: 0.4, 2: 0.5},
    ),
    "one phone from two states": (
        [(0, 1, 5, 0.1, 1), (0, 2, 6, 0.2, 2), (1, 3, 7, 0.3, 2), (2, 2, 0, 0.1, 3), (1, 2, 9, 0.7, 3)],
        {3: 0.0},
    ),
    "optional silence by epsilon": (
        [(0, 1, 0, 0.7, 1), (0, 0, 0, 0.6, 1), (1, 2, 7, 0.0, 2), (2, 0, 4, 0.1, 1)],
        {2: 0.3},
    ),
    "loop into the start": ([(0, 2, 7, 0.4, 0), (0, 1, 0, 0.2, 0)], {0: 0.0}),
    "loop at another state": ([(0, 2, 7, 0.4, 1), (1, 2, 8, 0.2, 1), (1, 1, 0, 0.2, 0)], {1: 0.0}),
}  # fmt: skip


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("num_frames", [3, 5])
def test_expansion_accepts_what_enumeration_by_hand_gives(name: str, num_frames: int) -> None:
    arcs, finals = GRAPHS[name]
    hmm = two_phone_hmm()
    expected = enumerated_by_hand(arcs, finals, hmm, num_frames)
    accepted = accepted_by_graph(expand_to_states(make_fst(arcs, finals), hmm), num_frames)
    assert accepted.keys() == expected.keys()
    assert len(expected) > 0 or (name, num_frames) in {("chain", 3), ("the same phone twice", 3)}
    for path, cost in expected.items():
        assert accepted[path] == pytest.approx(cost, abs=1e-5)


def test_search_finds_the_best_of_all_paths() -> None:
    hmm = two_phone_hmm()
    rng = np.random.default_rng(5)
    for name, (arcs, finals) in GRAPHS.items():
        graph = expand_to_states(make_fst(arcs, finals), hmm)
        scores = rng.normal(scale=2.0, size=(5, hmm.num_pdfs)).astype(np.float32)
        costs = {
            path: cost - sum(float(scores[frame, pdf]) for frame, pdf in enumerate(path[0]))
            for path, cost in enumerated_by_hand(arcs, finals, hmm, 5).items()
        }
        best = min(costs, key=lambda path: costs[path])
        result = viterbi_search(graph, scores, beam=100.0)
        assert result is not None
        assert (tuple(result.pdf_ids.tolist()), tuple(result.olabels)) == best, name
        assert result.cost == pytest.approx(costs[best], abs=1e-4)
        assert result.pdf_ids.dtype == np.int32


def test_transition_costs_worked_out_by_hand() -> None:
    # A has loops 0.6 and 0.7: three frames as 2 + 1 cost -ln(0.6 * 0.4 * 0.3), as 1 + 2 -ln(0.4 * 0.7 * 0.3).
    graph = expand_to_states(make_fst([(0, 2, 7, 0.5, 1)], {1: 0.25}), two_phone_hmm())
    accepted = accepted_by_graph(graph, 3)
    assert accepted == {
        ((1, 1, 2), (7,)): pytest.approx(0.75 - math.log(0.6 * 0.4 * 0.3), abs=1e-6),
        ((1, 2, 2), (7,)): pytest.approx(0.75 - math.log(0.4 * 0.7 * 0.3), abs=1e-6),
    }
    scaled = expand_to_states(make_fst([(0, 2, 7, 0.5, 1)], {1: 0.25}), two_phone_hmm(), transition_scale=0.1)
    assert accepted_by_graph(scaled, 3)[(1, 1, 2), (7,)] == pytest.approx(
        0.75 - 0.1 * math.log(0.6 * 0.4 * 0.3), abs=1e-6
    )


def test_a_chain_of_phones_has_one_state_for_each_hmm_state_and_no_epsilon() -> None:
    arcs: list[Arc] = [(0, 2, 7, 0.0, 1), (1, 3, 0, 0.0, 2), (2, 2, 8, 0.0, 3)]
    graph = expand_to_states(make_fst(arcs, {3: 0.0}), two_phone_hmm())
    labels = [arc.ilabel for state in range(graph.num_states) for arc in kaldifst.ArcIterator(graph, state)]
    assert graph.num_states == 1 + 3 * 2
    assert 0 not in labels


def test_arcs_of_one_phone_into_one_state_share_their_states() -> None:
    many: list[Arc] = [(0, 2, word, 0.0, 1) for word in range(1, 50)]
    graph = expand_to_states(make_fst(many, {1: 0.0}), two_phone_hmm())
    assert graph.num_states == 3


def test_search_is_none_where_no_final_state_is_reached() -> None:
    graph = expand_to_states(make_fst([(0, 2, 7, 0.0, 1)], {1: 0.0}), two_phone_hmm())
    assert viterbi_search(graph, np.zeros((1, 5), np.float32), beam=10.0) is None
    assert viterbi_search(graph, np.zeros((0, 5), np.float32), beam=10.0) is None
    assert viterbi_search(graph, np.zeros((2, 5), np.float32), beam=10.0) is not None


def test_a_narrow_beam_loses_the_path_that_is_worse_at_first() -> None:
    # Word 8 costs 30 at the first frame, and word 7 cannot end.
    graph = make_fst([(0, 1, 7, 0.0, 1), (0, 2, 8, 30.0, 2), (2, 2, 0, 0.0, 3)], {3: 0.0})
    scores = np.zeros((2, 2), np.float32)
    wide = viterbi_search(graph, scores, beam=40.0)
    assert wide is not None
    assert (wide.olabels, wide.cost) == ([8], 30.0)


def test_scores_that_are_not_numbers_are_refused() -> None:
    graph = expand_to_states(make_fst([(0, 2, 7, 0.0, 1)], {1: 0.0}), two_phone_hmm())
    scores = np.zeros((4, 5), np.float32)
    scores[2, 3] = np.nan
    with pytest.raises(ModelError, match="NaN"):
        viterbi_search(graph, scores, beam=10.0)


def test_graphs_that_do_not_fit_are_refused() -> None:
    hmm = two_phone_hmm()
    graph = expand_to_states(make_fst([(0, 3, 7, 0.0, 1)], {1: 0.0}), hmm)
    check_graph(graph, 5)
    with pytest.raises(GraphError, match="another senone tree; expected input labels up to 4, got 5"):
        check_graph(graph, 4)
    with pytest.raises(GraphError, match="empty"):
        check_graph(kaldifst.StdVectorFst(), 5)
    with pytest.raises(GraphError, match="input label 4 is no phone"):
        expand_to_states(make_fst([(0, 4, 7, 0.0, 1)], {1: 0.0}), hmm)
