"""The best path of a graph in context against exhaustive search, context across words included."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from exhaustive_search import LN10

from asr_kd.decode.beam import decode_utterance
from asr_kd.decode.graph import GraphConfig, build_graph, graph_fingerprint, load_graph, save_graph
from asr_kd.errors import GraphError, LexiconError
from asr_kd.lang.hmm import Hmm, HmmTopology, monophone_hmm
from asr_kd.lang.lexicon import Lexicon, read_lexicon
from asr_kd.lang.ngram import NgramModel, estimate_ngram, uniform_ngram
from asr_kd.lang.phones import PhoneSet
from asr_kd.lang.search import check_graph
from asr_kd.lang.triphone_tree import Leaf, TriphoneTree
from tests.support.graph_cases import LEXICONS, TEXTS, make_lexicon
from tests.support.random_tree import random_tree

# Minimization rounds each arc's weight to 1/1024.
TOLERANCE = 0.03


def make_hmm(lexicon: Lexicon, num_states: int, seed: int) -> Hmm:
    phone_set = PhoneSet.from_lexicon(lexicon)
    topology = HmmTopology(num_states, 1)
    tree = random_tree(phone_set, topology, seed)
    return Hmm(phone_set, topology, tree, np.random.default_rng(seed).uniform(0.2, 0.9, tree.num_pdfs))


class InContext:
    """Costs of word sequences by writing out every phone sequence; no FST and no sharing of anything."""

    def __init__(
        self, lexicon: Lexicon, hmm: Hmm, lm: NgramModel, scores: np.ndarray, config: GraphConfig
    ) -> None:
        self.lexicon, self.hmm, self.lm, self.scores, self.config = lexicon, hmm, lm, scores, config

    def best(self) -> float:
        return min((self.cost(words) for words in self.sequences(())), default=math.inf)

    def sequences(self, words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        yield words
        if len(words) < len(self.scores):
            for word in self.lm.words:
                yield from self.sequences((*words, word))

    def cost(self, words: tuple[str, ...]) -> float:
        acoustic = min(
            (self.of_phones(phones) + cost for phones, cost in self.phones(words)), default=math.inf
        )
        return acoustic + self.grammar(("<s>",), (*words, "</s>"))

    def phones(self, words: tuple[str, ...]) -> Iterator[tuple[list[int], float]]:
        """Yield each choice of silences and pronunciations that the frames suffice for."""
        silence_id, probability = self.hmm.phone_set.silence_id, self.config.silence_probability
        choices = [([silence_id], -math.log(probability))] if probability else []
        choices.append(([], -math.log(1 - probability)))
        for said in itertools.product(*(self.lexicon.pronunciations[word] for word in words)):
            parts = [[self.hmm.phone_set.phone_id(phone) for phone in phones] for phones in said]
            for silences in itertools.product(choices, repeat=len(words) + 1):
                sequence = list(silences[0][0])
                for part, (silence, _) in zip(parts, silences[1:], strict=True):
                    sequence += part + silence
                if sum(self.hmm.num_states(phone) for phone in sequence) <= len(self.scores):
                    yield sequence, sum(cost for _, cost in silences)

    def of_phones(self, phones: list[int]) -> float:
        pdf_ids = [
            self.hmm.tree.pdf_id(left, phone, right, state)
            for left, phone, right in zip([0, *phones], phones, [*phones[1:], 0], strict=False)
            for state in range(self.hmm.num_states(phone))
        ]
        if not pdf_ids:
            return 0.0 if len(self.scores) == 0 else math.inf
        scale = self.config.transition_scale
        loop = self.hmm.self_loop_probability[pdf_ids]
        stay, leave = -scale * np.log(loop), -scale * np.log(1 - loop)
        at = np.full(len(pdf_ids), math.inf)
        for frame in range(len(self.scores)):
            entry = np.concatenate([[0.0 if frame == 0 else math.inf], at[:-1] + leave[:-1]])
            at = np.minimum(entry, at + stay) - self.scores[frame, pdf_ids]
        return float(at[-1] + leave[-1])

    def grammar(self, history: tuple[str, ...], rest: tuple[str, ...]) -> float:
        if not rest:
            return 0.0
        history = history[max(0, len(history) - self.lm.order + 1) :]
        costs = [math.inf]
        ngram = (*history, rest[0])
        if ngram in self.lm.log_probs[len(history)]:
            costs.append(-LN10 * self.lm.log_probs[len(history)][ngram] + self.grammar(ngram, rest[1:]))
        if history:
            costs.append(-LN10 * self.lm.backoffs.get(history, 0.0) + self.grammar(history[1:], rest))
        return min(costs)


def check(
    lexicon: Lexicon, hmm: Hmm, lm: NgramModel, scores: np.ndarray, config: GraphConfig
) -> tuple[str, ...]:
    """Compare the decoder's cost and words with the exhaustive search; return the words."""
    graph = build_graph(lexicon, hmm, lm, config)
    check_graph(graph.fst, hmm.num_pdfs)
    found = decode_utterance(graph, scores, 1.0, beam=1e4, max_active=100_000)
    exhaustive = InContext(lexicon, hmm, lm, scores, config)
    cost = exhaustive.best()
    assert found.reached_final == (cost < math.inf)
    if cost == math.inf:
        return found.words
    assert found.cost == pytest.approx(cost, abs=TOLERANCE)
    assert exhaustive.cost(found.words) == pytest.approx(cost, abs=TOLERANCE)
    return found.words


@pytest.mark.parametrize("silence_probability", [0.0, 0.4])
@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("name", LEXICONS)
def test_special_lexicons(name: str, order: int, silence_probability: float) -> None:
    rng = np.random.default_rng(order)
    lexicon = make_lexicon(LEXICONS[name])
    hmm = make_hmm(lexicon, 1, order)
    lm = estimate_ngram([line.split() for line in TEXTS[name]], lexicon.words, order)
    seen = set()
    for _ in range(3):
        scores = rng.normal(0, 2.5, (4, hmm.num_pdfs)).astype(np.float32)
        seen.add(check(lexicon, hmm, lm, scores, GraphConfig(silence_probability, 0.5)))
    assert seen != {()}


@pytest.mark.parametrize("seed", range(20))
def test_fuzz(seed: int) -> None:
    """Random lexicon, tree, text, order, topology, silence and matrix."""
    rng, choice = np.random.default_rng(seed), random.Random(seed)
    phones = ["A", "B", "C"][: choice.randint(1, 3)]
    entries = {
        f"w{number}": tuple(
            sorted(
                {tuple(choice.choices(phones, k=choice.randint(1, 3))) for _ in range(choice.randint(1, 2))}
            )
        )
        for number in range(choice.randint(1, 3))
    }
    lexicon = Lexicon(entries)
    num_states = choice.randint(1, 2)
    hmm = make_hmm(lexicon, num_states, seed)
    text = [choice.choices(lexicon.words, k=choice.randint(1, 5)) for _ in range(choice.randint(1, 8))]
    lm = estimate_ngram(text, lexicon.words, choice.randint(1, 3))
    scores = rng.normal(0, 3, (choice.randint(3, 4), hmm.num_pdfs)).astype(np.float32)
    check(lexicon, hmm, lm, scores, GraphConfig(choice.choice([0.0, 0.5]), choice.choice([0.0, 0.1, 1.0])))


def test_the_right_context_reaches_into_the_next_word() -> None:
    """Of "b" and "c", which sound alike, the one is heard that fits the sound of the "a" before it."""
    lexicon = make_lexicon({"a": ("A",), "b": ("B",), "c": ("C",)})
    phone_set = PhoneSet.from_lexicon(lexicon)
    topology = HmmTopology(1, 1)
    splits = {"kind": "triphone", "phone_set": phone_set.to_json(), "topology": topology.to_json()}
    # Roots are SIL A B C; A asks whether B follows.
    nodes = [[0], ["right", 0, 4, 5], [3], [4], [1], [2]]
    tree = TriphoneTree.from_json({**splits, "questions": [["B"]], "nodes": nodes})
    hmm = Hmm(phone_set, topology, tree, 0.5)
    graph = build_graph(lexicon, hmm, uniform_ngram(lexicon.words), GraphConfig(0.0))
    for pdf_of_a, expected in ((1, ("a", "b")), (2, ("a", "c"))):
        scores = np.full((2, 5), -50, np.float32)
        scores[0, pdf_of_a] = scores[1, 3] = scores[1, 4] = 0  # "b" and "c" sound alike
        assert decode_utterance(graph, scores, 1.0, 1e4, 1000).words == expected


def test_a_tree_without_splits_decodes_as_monophones_do() -> None:
    lexicon = make_lexicon(LEXICONS["several pronunciations"])
    phone_set, topology = PhoneSet.from_lexicon(lexicon), HmmTopology(3, 2)
    monophone = monophone_hmm(phone_set, topology)
    tree = TriphoneTree(phone_set, topology, [], [Leaf(pdf) for pdf in range(monophone.num_pdfs)])
    lm = estimate_ngram([line.split() for line in TEXTS["several pronunciations"]], lexicon.words, 2)
    scores = np.random.default_rng(0).normal(0, 2, (40, tree.num_pdfs)).astype(np.float32)
    plain, in_context = (
        decode_utterance(build_graph(lexicon, hmm, lm), scores, 1.0, 1e4, 100_000)
        for hmm in (monophone, Hmm(phone_set, topology, tree))
    )
    assert in_context.words == plain.words != ()
    assert in_context.cost == pytest.approx(plain.cost, abs=0.1)


def test_a_graph_in_context_is_stored_with_its_fingerprint(tmp_path: Path) -> None:
    lexicon = make_lexicon(LEXICONS["prefixes"])
    hmm, lm = make_hmm(lexicon, 2, 1), uniform_ngram(lexicon.words)
    graph = build_graph(lexicon, hmm, lm)
    save_graph(tmp_path / "graph", graph)
    assert (
        load_graph(tmp_path / "graph", graph_fingerprint(lexicon, hmm, lm, GraphConfig())).num_pdfs
        == hmm.num_pdfs
    )
    other = make_hmm(lexicon, 2, 2)
    with pytest.raises(GraphError, match="built from another lexicon, HMM"):
        load_graph(tmp_path / "graph", graph_fingerprint(lexicon, other, lm, GraphConfig()))


def test_a_lexicon_phone_without_model_is_named() -> None:
    hmm = make_hmm(make_lexicon(LEXICONS["prefixes"]), 2, 1)
    lexicon = make_lexicon({"a": ("A",), "z": ("A ZH",)})
    with pytest.raises(LexiconError, match='phone "ZH" is not in the phone set'):
        build_graph(lexicon, hmm, uniform_ngram(lexicon.words))


def test_real_lexicon_in_context(shared_data: Path) -> None:
    """Sentences of the test speakers, from scores that favour the right senone by a margin over noise."""
    folder = shared_data / "speechocean762"
    lexicon = read_lexicon(folder / "resource/lexicon.txt", strip_stress=True)
    phone_set = PhoneSet.from_lexicon(lexicon)
    tree = random_tree(phone_set, HmmTopology(), 0, num_splits=4)
    hmm = Hmm(phone_set, HmmTopology(), tree)
    train, test = (
        [tuple(line.split()[1:]) for line in (folder / part / "text").read_text().splitlines()]
        for part in ("train", "test")
    )
    graph = build_graph(lexicon, hmm, estimate_ngram(train, lexicon.words, 2, "kneser_ney"))
    rng = np.random.default_rng(0)
    for words in test[:5]:
        said = ["SIL", *(phone for word in words for phone in lexicon.pronunciations[word][0]), "SIL"]
        phones = [phone_set.phone_id(phone) for phone in said]
        states = [
            pdf_id
            for left, phone, right in zip([0, *phones], phones, [*phones[1:], 0], strict=False)
            for pdf_id in hmm.pdf_ids(phone, left, right)
        ]
        pdf_ids = np.repeat(states, rng.integers(1, 5, len(states)))
        scores = rng.normal(0, 1, (len(pdf_ids), hmm.num_pdfs))
        scores[np.arange(len(pdf_ids)), pdf_ids] += 6
        found = decode_utterance(graph, scores, 1.0, beam=15, max_active=3000)
        heard = [phone for word in found.words for phone in lexicon.pronunciations[word][0]]
        assert found.reached_final
        assert found.words == words or heard == said[1:-1]
