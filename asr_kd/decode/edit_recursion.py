"""Expected edit distance between a word lattice and a word sequence, and what stands beside each word."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from asr_kd.decode.fst_arrays import FstArrays

# Breaks ties between alignments of equal cost in favour of fewer words aligned with nothing.
_TIE = 1e-5
# A state is compared with so many positions of the sequence on each side of where it stands; all but every
# posterior is settled by words a few places away. Up to twice as many words are compared in full.
_REACH = 64
_WORD_WITH_WORD, _WORD_WITH_NOTHING, _NOTHING_WITH_WORD = 0, 1, 2
_NO_WORD = -1

Array = np.ndarray[Any, Any]
Mass = dict[int, float]


class _Links(NamedTuple):
    """What enters a state, ``[L]`` each; states are numbered in topological order.

    Attributes:
        sources: States that are left.
        word_ids: 0 for none.
        shares: Of the posterior of the state that is entered.
    """

    sources: Array
    word_ids: Array
    shares: Array


class EditRecursion:
    """Expected edit distance between a lattice and a sequence of Q words, and who is aligned to whom.

    Time and memory grow with the number of links, whatever Q: each state of the N has the distances of its
    paths to W beginnings of the sequence alone, around the nearest one.

    Args:
        arrays: ``ilabel`` of the arcs is a word id, ``weight`` a cost.
        reference: Word ids; a place may be empty (0): no word is expected there, but one may be. -1 is a
            word that the lattice lacks.

    Source: Xu, Povey, Mangu & Zhu 2011, "Minimum Bayes Risk decoding and system combination based on a
        recursion for edit distance", algorithm 1.
    """

    def __init__(self, arrays: FstArrays, reference: Sequence[int]) -> None:
        self._entering = _entering(arrays)
        # The word that ends at each position, none at position 0.
        self._words = np.array([_NO_WORD, *reference])
        self._losses = np.where(self._words == 0, 0.0, 1.0)  # of a place without a word
        num_states, num_positions = len(self._entering), len(self._words)
        self._width = min(num_positions, 2 * _REACH + 1)
        self._first = np.zeros(num_states, dtype=np.int64)  # the first position of each state's window
        self._nearest = np.zeros(num_states, dtype=np.int64)
        self._distance = np.zeros((num_states, self._width))
        self._distance[0] = np.cumsum(self._losses[: self._width]) - self._losses[0]

    def run(self) -> list[Mass]:
        """Return the posterior mass of each word id, 0 for none, beside each reference word."""
        num_states, last = len(self._entering), len(self._words) - 1
        choices = [np.zeros((self._width, 0), dtype=np.int8)]
        for state in range(1, num_states):
            self._first[state] = self._window(state)
            costs, found = self._compare(state)
            # One link after the other: sums in blocks would round apart what costs the same.
            self._distance[state] = np.cumsum(costs * self._entering[state].shares, axis=1)[:, -1]
            self._nearest[state] = self._first[state] + self._distance[state].argmin()
            choices.append(found)
        mass: list[Mass] = [defaultdict(float) for _ in range(last)]
        reach: list[Mass] = [defaultdict(float) for _ in range(num_states)]
        reach[-1][last] = 1.0
        for state in range(num_states - 1, 0, -1):
            self._trace(state, choices[state], reach, mass)
        self._skip_the_beginning(reach[0], mass)
        return [dict(place) for place in mass]

    def _window(self, state: int) -> int:
        """Return the first position that a state is compared with."""
        num_left = len(self._words) - self._width
        if state == len(self._entering) - 1:
            return num_left  # the end of the lattice stands at the end of the sequence
        links = self._entering[state]
        nearest = float(links.shares @ (self._nearest[links.sources] + (links.word_ids != 0)))
        return min(max(round(nearest) - self._width // 2, 0), num_left)

    def _compare(self, state: int) -> tuple[Array, Array]:
        """Return the distances of the paths over each link, and how each came about, ``[W, L]`` both."""
        links = self._entering[state]
        window = slice(self._first[state], self._first[state] + self._width)
        columns = np.arange(window.start - 1, window.stop)[:, None] - self._first[links.sources]
        inside = np.clip(columns, 0, self._width - 1)
        # Outside its window a state is as far as at the edge, and a word for each position more.
        before = self._distance[links.sources, inside] + np.abs(columns - inside)  # [W + 1, L]
        beside = before[:-1] + (links.word_ids != self._words[window, None])
        alone = before[1:] + np.where(links.word_ids == 0, 0.0, 1.0 + _TIE)
        least = np.minimum(beside, alone)
        costs = least.copy()
        for place, loss in enumerate(self._losses[window][1:], start=1):
            np.minimum(costs[place], costs[place - 1] + loss, out=costs[place])
        choices = np.where(alone < beside, _WORD_WITH_NOTHING, _WORD_WITH_WORD)
        return costs, np.where(costs < least, _NOTHING_WITH_WORD, choices).astype(np.int8)

    def _trace(self, state: int, choices: Array, reach: list[Mass], mass: list[Mass]) -> None:
        """Hand the mass that reaches a state's positions back to those of the states before it."""
        flow = reach[state]
        if not flow:
            return
        highest, lowest = max(flow), min(flow)
        first = int(self._first[state])
        links = self._entering[state]
        for source, word_id, share, how in zip(*(each.tolist() for each in (*links, choices.T)), strict=True):
            before = reach[source]
            edge = int(self._first[source])
            position, amount = highest, 0.0
            while amount > 0 or position >= lowest:
                amount += share * flow.get(position, 0.0)
                choice = how[position - first]
                if amount > 0 and choice != _WORD_WITH_NOTHING:
                    mass[position - 1][word_id if choice == _WORD_WITH_WORD else 0] += amount
                if amount > 0 and choice != _NOTHING_WITH_WORD:
                    came_from = position - (choice == _WORD_WITH_WORD)
                    before[min(max(came_from, edge), edge + self._width - 1)] += amount
                    amount = 0.0
                position -= 1

    @staticmethod
    def _skip_the_beginning(flow: Mass, mass: list[Mass]) -> None:
        """Give the reference words before which the lattice begins to no word."""
        amount = 0.0
        for position in range(max(flow, default=0), 0, -1):
            amount += flow.get(position, 0.0)
            if amount > 0:
                mass[position - 1][0] += amount


def _entering(arrays: FstArrays) -> list[_Links]:
    """Return what enters each state: the start first, in topological order, one end state last.

    The end state is entered from every final state, without a word.
    """
    order = _topological_order(arrays)
    first = np.concatenate([[0], np.cumsum(arrays.num_arcs)]).tolist()
    targets = arrays.arcs["nextstate"].tolist()
    word_ids = arrays.arcs["ilabel"].tolist()
    costs = arrays.arcs["weight"].tolist()
    number = {state: place for place, state in enumerate(order)}
    number[len(arrays.finals)] = len(order)
    found: list[list[tuple[int, int, float]]] = [[] for _ in number]
    entering: list[_Links] = []
    for place, state in enumerate([*order, len(arrays.finals)]):
        links, log_alpha = _shared(found[place])
        entering.append(links)
        found[place] = []
        if state == len(arrays.finals):
            break
        for arc in range(first[state], first[state + 1]):
            found[number[targets[arc]]].append((place, word_ids[arc], log_alpha - costs[arc]))
        final = float(arrays.finals[state])
        if np.isfinite(final):
            found[-1].append((place, 0, log_alpha - final))
    return entering


def _shared(links: Sequence[tuple[int, int, float]]) -> tuple[_Links, float]:
    """Return links of ``(source, word id, log weight)`` with their shares, and the log weight of all."""
    sources, word_ids, log_weights = np.array(links, dtype=np.float64).reshape(-1, 3).T
    log_alpha = float(np.logaddexp.reduce(log_weights)) if links else 0.0
    shares = np.array([math.exp(each) for each in log_weights - log_alpha])
    return _Links(sources.astype(np.int64), word_ids.astype(np.int64), shares), log_alpha


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
