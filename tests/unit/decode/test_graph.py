from __future__ import annotations

import json

import kaldifst
import pytest

from asr_kd.decode.graph import (
    DecodingGraph,
    GraphConfig,
    build_graph,
    graph_fingerprint,
    load_graph,
    save_graph,
    stored_graph,
    with_insertion_penalty,
)
from asr_kd.errors import GraphError
from asr_kd.lang.hmm import monophone_hmm
from asr_kd.lang.lexicon import Lexicon
from asr_kd.lang.ngram import NgramModel, estimate_ngram, uniform_ngram
from asr_kd.lang.phones import PhoneSet

LEXICON = Lexicon({"a": (("A",),), "b c": (("B",),), "ü": (("A", "B"),)})
HMM = monophone_hmm(PhoneSet.from_lexicon(LEXICON))
LM = estimate_ngram([["a", "b c", "ü"], ["ü"]], LEXICON.words, 2)


@pytest.fixture(scope="module")
def graph() -> DecodingGraph:
    return build_graph(LEXICON, HMM, LM)


def arcs_of(fst):
    """Values of all arcs: the arc objects live in the FST and die with it."""
    return [
        (arc.ilabel, arc.olabel, arc.nextstate, arc.weight.value)
        for state in range(fst.num_states)
        for arc in kaldifst.ArcIterator(fst, state)
    ]


def test_labels_are_pdfs_and_words(graph):
    arcs = arcs_of(graph.fst)
    assert graph.num_pdfs == HMM.num_pdfs == 9
    assert {ilabel for ilabel, _, _, _ in arcs} == set(range(10))
    assert {olabel for _, olabel, _, _ in arcs} == {0, 1, 2, 3}
    assert graph.words == ("a", "b c", "ü")


def test_building_is_deterministic(graph):
    again = build_graph(LEXICON, HMM, LM)
    assert str(again.fst) == str(graph.fst)
    assert again.fingerprint == graph.fingerprint


def test_save_and_load(graph, tmp_path):
    save_graph(tmp_path / "graph", graph)
    again = load_graph(tmp_path / "graph", graph.fingerprint)
    assert str(again.fst) == str(graph.fst)
    assert (again.words, again.num_pdfs, again.fingerprint) == (
        graph.words,
        graph.num_pdfs,
        graph.fingerprint,
    )
    assert (tmp_path / "graph/words.txt").read_text(encoding="utf-8").splitlines()[:2] == ["<eps> 0", "a 1"]


def test_saving_replaces_an_older_graph(graph, tmp_path):
    save_graph(tmp_path / "graph", build_graph(LEXICON, HMM, uniform_ngram(["a"])))
    save_graph(tmp_path / "graph", graph)
    assert load_graph(tmp_path / "graph").fingerprint == graph.fingerprint


def test_fingerprint_follows_every_input(graph):
    other_lexicon = Lexicon({**LEXICON.pronunciations, "a": (("B", "A"),)})
    variants = [
        graph_fingerprint(LEXICON, HMM, LM, GraphConfig()),
        graph_fingerprint(other_lexicon, HMM, LM, GraphConfig()),
        graph_fingerprint(LEXICON, HMM.with_self_loops(HMM.self_loop_probability * 0.9), LM, GraphConfig()),
        graph_fingerprint(LEXICON, HMM, uniform_ngram(LEXICON.words), GraphConfig()),
        graph_fingerprint(LEXICON, HMM, LM, GraphConfig(silence_probability=0.4)),
    ]
    assert variants[0] == graph.fingerprint
    assert len(set(variants)) == len(variants)


def test_a_stale_graph_is_refused(graph, tmp_path):
    save_graph(tmp_path / "graph", graph)
    with pytest.raises(
        GraphError, match=r"graph: the graph was built from another .* expected fingerprint 0123"
    ):
        load_graph(tmp_path / "graph", "0123")


@pytest.mark.parametrize("name", ["HCLG.fst", "words.txt", "graph.json"])
def test_a_damaged_graph_is_refused(graph, tmp_path, name):
    save_graph(tmp_path / "graph", graph)
    path = tmp_path / "graph" / name
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(GraphError, match=rf"{name}: the graph is damaged"):
        load_graph(tmp_path / "graph")
    path.unlink()
    with pytest.raises(GraphError, match=r"damaged|no decoding graph here"):
        load_graph(tmp_path / "graph")


def test_a_header_without_its_keys_is_refused(graph, tmp_path):
    save_graph(tmp_path / "graph", graph)
    (tmp_path / "graph/graph.json").write_text(json.dumps({"fingerprint": 3}))
    with pytest.raises(GraphError, match=r"graph\.json: the graph is damaged; expected keys"):
        load_graph(tmp_path / "graph")


def test_penalty_changes_the_arcs_with_words_alone(graph):
    before, after = arcs_of(graph.fst), arcs_of(with_insertion_penalty(graph, 2.5).fst)
    for old, new in zip(before, after, strict=True):
        assert new[:3] == old[:3]
        assert new[3] == pytest.approx(old[3] + (2.5 if old[1] else 0.0), abs=1e-5)


def test_words_without_pronunciation():
    with pytest.raises(GraphError, match=r'2 words .* have no pronunciation: "x", "y"'):
        build_graph(LEXICON, HMM, uniform_ngram(["a", "y", "x"]))


def test_empty_grammar():
    with pytest.raises(GraphError, match="the language model has no words"):
        build_graph(LEXICON, HMM, NgramModel(({("</s>",): 0.0, ("<s>",): -99.0},)))


@pytest.mark.parametrize(
    "unigrams",
    [
        {("a",): -0.1},
        {("a",): -0.1, ("</s>",): -99.0},
    ],
)
def test_a_grammar_that_cannot_end(unigrams):
    with pytest.raises(GraphError, match=r"no word sequence .* reaches a final state"):
        build_graph(LEXICON, HMM, NgramModel((unigrams,)))


@pytest.mark.parametrize("probability", [-0.1, 1.0])
def test_config_is_checked(probability):
    with pytest.raises(GraphError, match="silence_probability"):
        GraphConfig(silence_probability=probability)


def test_a_stored_graph_is_taken_when_it_is_of_the_same_inputs(tmp_path, monkeypatch):
    folder = tmp_path / "graph"
    built, was_there = stored_graph(folder, LEXICON, HMM, LM, GraphConfig())
    assert not was_there
    other, was_there = stored_graph(folder, LEXICON, HMM, uniform_ngram(["a"]), GraphConfig())
    assert not was_there
    assert other.fingerprint != built.fingerprint
    (folder / "HCLG.fst").write_bytes(b"damaged")
    again, was_there = stored_graph(folder, LEXICON, HMM, LM, GraphConfig())
    assert not was_there
    monkeypatch.setattr("asr_kd.decode.graph.build_graph", lambda *_: pytest.fail("built again"))
    taken, was_there = stored_graph(folder, LEXICON, HMM, LM, GraphConfig())
    assert was_there
    assert str(taken.fst) == str(again.fst) == str(built.fst)
