"""Word lattices: the likely word sequences of an utterance, n-best lists and word posteriors."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import kaldifst
import numpy as np

from asr_kd.decode.fst_arrays import FstArrays, from_arrays, to_arrays
from asr_kd.errors import ConfigError

# Breaks ties between alignments of equal cost in favour of fewer words aligned with nothing.
_TIE = 1e-5
# Arcs hold costs in single precision.
_EQUAL_MASS = 1e-6
_MAX_STEPS = 10
_WORD_WITH_WORD, _WORD_WITH_NOTHING, _NOTHING_WITH_WORD = 0, 1, 2


class Candidate(NamedTuple):
    """A word sequence and its cost: graph cost minus scaled log-likelihoods."""

    words: tuple[str, ...]
    cost: float

    @property
    def text(self) -> str:
        """The words with blanks between."""
        return " ".join(self.words)


@dataclass(frozen=True)
class WordLattice:
    """An acyclic acceptor of word sequences.

    Attributes:
        arrays: ``ilabel`` of its arcs is a word id, ``weight`` a cost; no arc is without a word.
        words: ``words[word_id - 1]`` is the word of an id.
    """

    arrays: FstArrays
    words: tuple[str, ...]

    @classmethod
    def of_candidates(cls, candidates: Iterable[Candidate]) -> WordLattice:
        """Return the lattice of a list of different word sequences, each a path of its own."""
        fst = kaldifst.StdVectorFst()
        fst.start = fst.add_state()
        ids: dict[str, int] = {}
        for words, cost in candidates:
            state, waiting = fst.start, cost
            for word in words:
                following = fst.add_state()
                word_id = ids.setdefault(word, len(ids) + 1)
                fst.add_arc(state, kaldifst.StdArc(word_id, word_id, waiting, following))
                state, waiting = following, 0.0
            fst.set_final(state, waiting)
        return cls(to_arrays(fst), tuple(ids))

    def nbest(self, num_best: int) -> list[Candidate]:
        """Return the cheapest word sequences, best first.

        Raises:
            ConfigError: For a number below 1.
        """
        if num_best < 1:
            raise ConfigError("an n-best list has one entry or more", got=num_best)
        # Two or more: of a single one the weight is lost where it has no word.
        paths = kaldifst.shortest_path(from_arrays(self.arrays), max(2, num_best))
        found = []
        for path in kaldifst.convert_nbest_to_vector(paths):
            _, word_ids, _, weight = kaldifst.get_linear_symbol_sequence(path)
            found.append(Candidate(tuple(self.words[word_id - 1] for word_id in word_ids), weight.value))
        return sorted(found, key=lambda candidate: candidate.cost)[:num_best]

    def word_posteriors(self, words: Sequence[str]) -> list[dict[str, float]]:
        """Return what stands in place of each word of a sequence, with its posterior.

        The lattice's paths, weighted by their posteriors, are aligned with the sequence so that the
        expected number of errors is least; "" stands for no word. Each dictionary sums to 1, and the
        posterior of the word itself is its confidence.

        Args:
            words: Usually the lattice's best word sequence.

        Source: Xu, Povey, Mangu & Zhu 2011, "Minimum Bayes Risk decoding and system combination based on a
            recursion for edit distance", algorithm 1 (Kaldi ``lattice-to-ctm-conf``).
        """
        known = {word: word_id for word_id, word in enumerate(self.words, start=1)}
        reference = [known.get(word, -1) for word in words]
        names = {0: "", **dict(zip(reference, words, strict=True)), **dict(enumerate(self.words, start=1))}
        mass = _EditRecursion(self.arrays, reference).run()
        return [{names[word_id]: share for word_id, share in place.items()} for place in mass]

    def confidences(self, words: Sequence[str]) -> list[float]:
        """Return the posterior of each word of a sequence, 0 to 1; see :meth:`word_posteriors`."""
        places = self.word_posteriors(words)
        return [min(1.0, place.get(word, 0.0)) for word, place in zip(words, places, strict=True)]

    def least_risk_words(self, words: Sequence[str]) -> tuple[str, ...]:
        """Return the word sequence with the fewest expected errors, by steps from a given one.

        Source: Xu, Povey, Mangu & Zhu 2011, section 4 (Kaldi ``lattice-mbr-decode``).
        """
        known = {word: word_id for word_id, word in enumerate(self.words, start=1)}
        current = [known[word] for word in words]
        for _ in range(_MAX_STEPS):
            # Between any two words there may be one more.
            reference = [0, *(each for word_id in current for each in (word_id, 0))]
            places = zip(reference, _EditRecursion(self.arrays, reference).run(), strict=True)
            following = [best for own, place in places if (best := _likeliest(place, own))]
            if following == current:
                break
            current = following
        return tuple(self.words[word_id - 1] for word_id in current)


def vote(hypotheses: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Return the words that several systems' hypotheses of one utterance agree on most, one vote each.

    Where no word has a majority, that of the first system stays.
    """
    counts = Counter(tuple(words) for words in hypotheses)
    candidates = [Candidate(words, -math.log(count)) for words, count in counts.items()]
    return WordLattice.of_candidates(candidates).least_risk_words(hypotheses[0])


class _Link(NamedTuple):
    source: int
    word_id: int
    share: float  # of the posterior of the state it enters


class _EditRecursion:
    """Expected edit distance between a lattice and a sequence of Q words, and who is aligned to whom.

    A place of the sequence may be empty (0): no word is expected there, but one may be.
    """

    def __init__(self, arrays: FstArrays, reference: Sequence[int]) -> None:
        self._reference = reference
        self._losses = [1.0 if word_id else 0.0 for word_id in reference]  # of a place without a word
        self._order, self._entering = _shares(arrays)

    def run(self) -> list[dict[int, float]]:
        """Return the posterior mass of each word id, 0 for none, beside each reference word."""
        num_words = len(self._reference)
        start, end = self._order[0], self._order[-1]
        distance = {start: np.concatenate([[0.0], np.cumsum(self._losses)])}
        choices: dict[tuple[int, int], list[int]] = {}
        for state in self._order[1:]:
            distance[state] = np.zeros(num_words + 1)
            for number, link in enumerate(self._entering[state]):
                costs, choices[state, number] = self._extend(distance[link.source], link.word_id)
                distance[state] += link.share * np.asarray(costs)
        mass: list[dict[int, float]] = [{} for _ in self._reference]
        reach = {state: np.zeros(num_words + 1) for state in self._order}
        reach[end][num_words] = 1.0
        for state in reversed(self._order[1:]):
            for number, link in enumerate(self._entering[state]):
                flow = link.share * reach[state]
                self._trace(flow, reach[link.source], choices[state, number], link.word_id, mass)
        for place in range(num_words, 0, -1):
            _add(mass[place - 1], 0, reach[start][place])
            reach[start][place - 1] += reach[start][place]
        return mass

    def _extend(self, before: np.ndarray[Any, Any], word_id: int) -> tuple[list[float], list[int]]:
        """Return distances ``[Q + 1]`` after one more word, 0 for none, and how each came about."""
        loss = 1.0 + _TIE if word_id else 0.0
        costs, choices = [float(before[0]) + loss], [_WORD_WITH_NOTHING]
        for place, other in enumerate(self._reference, start=1):
            options = (
                float(before[place - 1]) + (word_id != other),
                float(before[place]) + loss,
                costs[-1] + self._losses[place - 1],
            )
            best = min(range(3), key=options.__getitem__)
            costs.append(options[best])
            choices.append(best)
        return costs, choices

    @staticmethod
    def _trace(
        flow: np.ndarray[Any, Any],
        before: np.ndarray[Any, Any],
        choices: list[int],
        word_id: int,
        mass: list[dict[int, float]],
    ) -> None:
        for place in range(len(flow) - 1, 0, -1):
            if choices[place] == _WORD_WITH_WORD:
                before[place - 1] += flow[place]
                _add(mass[place - 1], word_id, flow[place])
            elif choices[place] == _WORD_WITH_NOTHING:
                before[place] += flow[place]
            else:
                flow[place - 1] += flow[place]
                _add(mass[place - 1], 0, flow[place])
        before[0] += flow[0]


def _likeliest(place: dict[int, float], own: int) -> int:
    """Return the word with the largest mass; of several the one that stands there already."""
    best = max(place, key=lambda word_id: (place[word_id], -word_id))
    return own if place.get(own, 0.0) >= place[best] - _EQUAL_MASS else best


def _add(place: dict[int, float], word_id: int, amount: float) -> None:
    if amount > 0:
        place[word_id] = place.get(word_id, 0.0) + float(amount)


def _shares(arrays: FstArrays) -> tuple[list[int], dict[int, list[_Link]]]:
    """Return the states in topological order, one end state last, and what enters each of them.

    The end state is entered from every final state, without a word.
    """
    order = _topological_order(arrays)
    end = len(arrays.finals)
    leaving: list[list[tuple[int, int, float]]] = [[] for _ in range(end)]
    for source, arc in zip(arrays.sources.tolist(), arrays.arcs.tolist(), strict=True):
        leaving[source].append((arc[0], arc[3], arc[2]))
    for state in np.flatnonzero(np.isfinite(arrays.finals)).tolist():
        leaving[state].append((0, end, float(arrays.finals[state])))
    log_alpha = {arrays.start: 0.0}
    weighted: dict[int, list[tuple[int, int, float]]] = {state: [] for state in (*order, end)}
    for state in (*order, end):
        if weighted[state]:
            log_alpha[state] = float(np.logaddexp.reduce([log_p for _, _, log_p in weighted[state]]))
        if state != end:
            for word_id, target, cost in leaving[state]:
                weighted[target].append((state, word_id, log_alpha[state] - cost))
    entering = {
        state: [
            _Link(source, word_id, math.exp(log_p - log_alpha[state])) for source, word_id, log_p in links
        ]
        for state, links in weighted.items()
    }
    return [*order, end], entering


def _topological_order(arrays: FstArrays) -> list[int]:
    """Return the states that the start reaches, each after all from which an arc leads to it."""
    first = np.concatenate([[0], np.cumsum(arrays.num_arcs)]).tolist()
    targets = arrays.arcs["nextstate"].tolist()
    reached = {arrays.start}
    waiting = [arrays.start]
    num_entering: dict[int, int] = {arrays.start: 0}
    while waiting:
        state = waiting.pop()
        for target in targets[first[state] : first[state + 1]]:
            num_entering[target] = num_entering.get(target, 0) + 1
            if target not in reached:
                reached.add(target)
                waiting.append(target)
    assert num_entering[arrays.start] == 0, "a lattice has no cycle"
    order: list[int] = []
    ready = [arrays.start]
    while ready:
        state = ready.pop()
        order.append(state)
        for target in targets[first[state] : first[state + 1]]:
            num_entering[target] -= 1
            if num_entering[target] == 0:
                ready.append(target)
    assert len(order) == len(reached), "a lattice has no cycle"
    return order
