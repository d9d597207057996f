"""Alternatives of a minute of speech took minutes: each word was compared with all, searches were in vain."""

from __future__ import annotations

import math
import tracemalloc
from pathlib import Path

import kaldifst
import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from asr_kd.cli.app import app
from asr_kd.decode import beam, lattice
from asr_kd.decode.beam import DecodeConfig, raw_lattice
from asr_kd.decode.fst_arrays import lattice_to_arrays, to_arrays
from asr_kd.decode.graph import build_graph
from asr_kd.decode.lattice import LatticeConfig, decode_lattice
from asr_kd.decode.word_lattice import WordLattice
from asr_kd.lang.ngram import estimate_ngram, uniform_ngram
from asr_kd.recogniser import Recogniser
from tests.support.known_scores import HMM, known_scores
from tests.support.spoken_words import LEXICON

_WORDS = ("a", "b", "c", "d")


def _random_lattice(num_states: int, seed: int) -> WordLattice:
    """Return a lattice over four words in which words are missing, more than there are, or others."""
    rng = np.random.default_rng(seed)
    fst = kaldifst.StdVectorFst()
    for _ in range(num_states):
        fst.add_state()
    fst.start = 0
    for state in range(num_states - 1):
        for word_id in rng.permutation(4)[: rng.integers(1, 5)].tolist():
            step = 1 if word_id == 0 else int(rng.integers(1, 4))
            target = min(state + step, num_states - 1)
            fst.add_arc(state, kaldifst.StdArc(word_id + 1, word_id + 1, float(rng.uniform(0, 4)), target))
        fst.add_arc(state, kaldifst.StdArc(1, 1, float(rng.uniform(0, 4)), state + 1))
    fst.set_final(num_states - 1, 0.5)
    return WordLattice(to_arrays(fst), _WORDS)


def _plain_confidences(found: WordLattice, words: tuple[str, ...]) -> list[float]:
    """Return confidences by the recursion as the paper has it: each link with each word, one by one."""
    arrays, num_words = found.arrays, len(words)
    links = list(zip(arrays.sources.tolist(), arrays.arcs.tolist(), strict=True))
    entering: dict[int, list[float]] = {0: [0.0]}
    for source, (_, _, cost, target) in links:
        entering.setdefault(target, []).append(np.logaddexp.reduce(entering[source]) - cost)
    log_weight = {state: np.logaddexp.reduce(each) for state, each in entering.items()}
    distance = {0: [float(place) for place in range(num_words + 1)]}
    choices, shares = [], []
    for source, (word_id, _, cost, target) in links:
        before, costs, chosen = distance[source], [distance[source][0] + 1.00001], [1]
        for place, word in enumerate(words):
            options = (
                before[place] + (word != _WORDS[word_id - 1]),
                before[place + 1] + 1.00001,
                costs[-1] + 1,
            )
            costs.append(min(options))
            chosen.append(options.index(min(options)))
        choices.append(chosen)
        shares.append(math.exp(log_weight[source] - cost - log_weight[target]))
        so_far = distance.setdefault(target, [0.0] * (num_words + 1))
        distance[target] = [old + shares[-1] * new for old, new in zip(so_far, costs, strict=True)]
    reach = {state: [0.0] * (num_words + 1) for state in log_weight}
    reach[len(arrays.finals) - 1][num_words] = 1.0
    confidences = [0.0] * num_words
    for (source, arc), chosen, share in zip(
        reversed(links), reversed(choices), reversed(shares), strict=True
    ):
        flow = [share * each for each in reach[arc[3]]]
        for place in range(num_words, -1, -1):
            if chosen[place] == 2:
                flow[place - 1] += flow[place]
                continue
            reach[source][place - (chosen[place] == 0)] += flow[place]
            if chosen[place] == 0 and words[place - 1] == _WORDS[arc[0] - 1]:
                confidences[place - 1] += flow[place]
    return confidences


@pytest.mark.parametrize(
    ("num_states", "seed"), [(3, 0), (8, 1), (20, 2), (40, 3), (90, 4), (150, 5), (250, 6)]
)
def test_confidences_are_those_of_comparing_all_with_all(num_states: int, seed: int) -> None:
    found = _random_lattice(num_states, seed)
    words = found.nbest(3)[-1].words
    assert found.confidences(words) == pytest.approx(_plain_confidences(found, words), abs=1e-6)


def _peak(num_words: int) -> int:
    found, words = _random_lattice(num_words, 0), ("a",) * num_words
    tracemalloc.start()
    found.confidences(words)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


def test_memory_grows_with_the_length_and_not_its_square() -> None:
    assert _peak(400) < 3 * _peak(200)


def _searches(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return a list that will have the beam of each search for a lattice."""
    beams: list[float] = []

    def counted(graph: object, scores: object, width: float, lattice_beam: float) -> object:
        beams.append(width)
        return raw_lattice(graph, scores, width, lattice_beam)

    monkeypatch.setattr(lattice, "raw_lattice", counted)
    return beams


def test_the_beam_that_holds_the_best_path_is_searched_once(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = build_graph(LEXICON, HMM, uniform_ngram(LEXICON.words))
    scores = np.random.default_rng(0).normal(0, 2, (100, HMM.num_pdfs)).astype(np.float32)
    beams = _searches(monkeypatch)
    config = DecodeConfig(acoustic_scale=1.0, beam=1000.0, max_active=100_000)
    found = decode_lattice(graph, scores, config, LatticeConfig(0.5, 2.0, widest_beam=1000.0))
    assert found.lattice is not None
    assert found.lattice.nbest(1)[0].cost == pytest.approx(found.best.cost, abs=0.02)
    assert len(beams) == 1
    assert beams[0] > 1


def test_fewer_prunings_leave_the_same_lattice(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = build_graph(LEXICON, HMM, uniform_ngram(LEXICON.words))
    scores = np.random.default_rng(0).normal(0, 1, (500, HMM.num_pdfs)).astype(np.float32)
    found = lattice_to_arrays(raw_lattice(graph, scores, 8.0, 6.0))
    monkeypatch.setattr(beam, "_PRUNE_INTERVAL", 25)
    expected = lattice_to_arrays(raw_lattice(graph, scores, 8.0, 6.0))
    assert np.array_equal(found.arcs, expected.arcs)
    assert np.array_equal(found.finals, expected.finals)
    assert len(found.arcs) > 1000


@pytest.mark.parametrize(("option", "num_computed"), [("--nbest=2", 0), ("--json", 1)])
def test_confidences_are_computed_where_they_are_printed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, option: str, num_computed: int
) -> None:
    recogniser = known_scores(tmp_path, estimate_ngram([["tea", "eat"]], LEXICON.words, 2))
    monkeypatch.setattr(Recogniser, "load", lambda folder: recogniser)
    computed: list[object] = []
    confidences = WordLattice.confidences
    monkeypatch.setattr(
        WordLattice, "confidences", lambda *given: computed.append(given) or confidences(*given)
    )
    soundfile.write(tmp_path / "a.wav", np.zeros(8000), 8000)
    command = ["transcribe", str(tmp_path), str(tmp_path / "a.wav"), option]
    done = CliRunner().invoke(app, command, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert len(computed) == num_computed
    assert ('"confidences"' in done.stdout) == bool(num_computed)
