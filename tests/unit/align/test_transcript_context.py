"""Transcript graphs in context: every path of the monophone graph, with the senones of its own context."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import kaldifst
import numpy as np
import pytest

from asr_kd.align.viterbi import (
    Aligner,
    AlignmentConfig,
    align_utterance,
    transcript_graph,
    transcript_pdf_ids,
)
from asr_kd.errors import AlignmentError
from asr_kd.lang.hmm import Hmm, HmmTopology
from asr_kd.lang.lexicon import Lexicon
from asr_kd.lang.phones import PhoneSet
from tests.support.random_tree import random_tree

LEXICON = Lexicon(
    {"tea": (("T", "I"),), "to": (("T", "U"), ("T", "A")), "a": (("A",), ("I",)), "aa": (("A", "A"),)}
)
PHONES = PhoneSet.from_lexicon(LEXICON)


def make_hmm(num_states: int, seed: int) -> Hmm:
    topology = HmmTopology(num_states, 2)
    tree = random_tree(PHONES, topology, seed, num_splits=3)
    return Hmm(PHONES, topology, tree, np.random.default_rng(seed).uniform(0.2, 0.9, tree.num_pdfs))


def phone_sequences(words: list[str]) -> list[list[str]]:
    """Return each choice of pronunciations and silences."""
    sequences: list[list[str]] = [[], ["SIL"]]
    for word in words:
        sequences = [
            [*sequence, *phones, *silence]
            for sequence in sequences
            for phones in LEXICON.pronunciations[word]
            for silence in ([], ["SIL"])
        ]
    return sequences


def senones(hmm: Hmm, phones: list[str]) -> list[int]:
    ids = [0, *(PHONES.phone_id(phone) for phone in phones), 0]
    return [
        hmm.tree.pdf_id(ids[index - 1], ids[index], ids[index + 1], state)
        for index in range(1, len(ids) - 1)
        for state in range(hmm.num_states(ids[index]))
    ]


def shortest_paths(graph: Any) -> set[tuple[int, ...]]:
    """Return the senones of each path that takes no self-loop."""
    found: set[tuple[int, ...]] = set()
    stack: list[tuple[int, tuple[int, ...]]] = [(graph.start, ())]
    while stack:
        state, path = stack.pop()
        if graph.final(state).value != float("inf"):
            found.add(path)
        for arc in kaldifst.ArcIterator(graph, state):
            if arc.nextstate != state:
                stack.append((arc.nextstate, (*path, arc.ilabel - 1) if arc.ilabel else path))
    return found


@pytest.mark.parametrize("words", [["tea"], ["a"], ["to", "a"], ["a", "aa", "a"], ["tea", "to", "aa"]])
@pytest.mark.parametrize("num_states", [1, 3])
def test_a_transcript_has_the_paths_of_its_phones_in_context(words: list[str], num_states: int) -> None:
    hmm = make_hmm(num_states, seed=len(words))
    graph = transcript_graph(words, LEXICON, hmm)
    expected = {tuple(senones(hmm, phones)) for phones in phone_sequences(words)}
    assert shortest_paths(graph) == expected
    asked = {pdf_id for path in expected for pdf_id in path}
    assert set(transcript_pdf_ids(words, LEXICON, hmm).tolist()) >= asked


def test_costs_of_a_path_are_those_of_silence_and_transitions() -> None:
    hmm = make_hmm(2, seed=5)
    words = ["to", "a"]
    chosen = senones(hmm, ["SIL", "T", "A", "I"])
    pdf_ids = np.repeat(chosen, 3)
    scores = np.full((len(pdf_ids), hmm.num_pdfs), -1e3, dtype=np.float32)
    scores[np.arange(len(pdf_ids)), pdf_ids] = 0
    graph = transcript_graph(words, LEXICON, hmm, silence_probability=0.3, transition_scale=0.5)
    found = align_utterance(scores, graph, 200.0, 1e4)
    assert found is not None
    assert found.tolist() == pdf_ids.tolist()
    from asr_kd.lang.search import viterbi_search

    result = viterbi_search(graph, scores, 1e4, 100_000)
    assert result is not None
    loop = hmm.self_loop_probability[chosen]
    by_hand = -np.log(0.3) - 2 * np.log(0.7) - 0.5 * (2 * np.log(loop) + np.log(1 - loop)).sum()
    assert result.cost == pytest.approx(by_hand, abs=1e-3)
    assert [LEXICON.word(word_id) for word_id in result.olabels] == words


def test_the_aligner_takes_scores_of_the_tree_alone() -> None:
    hmm = make_hmm(3, seed=2)
    aligner = Aligner(LEXICON, hmm, AlignmentConfig())
    scores = np.random.default_rng(0).normal(size=(40, hmm.num_pdfs)).astype(np.float32)
    found = aligner.align("utt", ["tea", "to"], scores)
    assert isinstance(found, np.ndarray)
    assert len(found) == 40
    with pytest.raises(AlignmentError, match="no words"):
        transcript_graph([], LEXICON, hmm)


def test_a_phone_twice_in_one_state_stays_two_phones(tmp_path: Path) -> None:
    """With one state a phone, "aa" needs two frames at least."""
    hmm = make_hmm(1, seed=1)
    shortest = min(len(path) for path in shortest_paths(transcript_graph(["aa"], LEXICON, hmm)))
    assert shortest == 2
