"""Phonetic decision trees from triphone statistics, split by gain in likelihood."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from asr_kd.align.gaussian_clusters import gaussian_log_likelihood, packed_moments
from asr_kd.align.triphone_statistics import TriphoneSums
from asr_kd.errors import AlignmentError
from asr_kd.lang.phones import UTTERANCE_EDGE, PhoneSet
from asr_kd.lang.topology import HmmTopology
from asr_kd.lang.triphone_tree import SIDES, Leaf, Node, Split, TriphoneTree

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class _BestSplit:
    gain: float
    side: int
    question: int


@dataclass
class _Open:
    """A leaf of the growing tree: its rows of the statistics and how it would be split."""

    number: int
    rows: Array
    split: _BestSplit | None


def build_tree(
    sums: TriphoneSums,
    phone_set: PhoneSet,
    topology: HmmTopology,
    questions: Sequence[tuple[str, ...]],
    num_leaves: int,
    min_frames: float,
    variance_floor: Array,
) -> TriphoneTree:
    """Split each state of each phone, the best split of all first, until there are enough leaves.

    Silence is not split. A phone without frames keeps one leaf for each state.

    Args:
        sums: Of all triphones that were seen.
        phone_set: The phones.
        topology: Their states.
        questions: Sets of phones.
        num_leaves: Number of senones S.
        min_frames: That each side of a split must have.
        variance_floor: Smallest variance of each dimension, ``[D]``.

    Raises:
        AlignmentError: When there are fewer leaves than states, or the data allow fewer.

    Source: Kaldi ``build-tree``; Young, Odell & Woodland 1994.
    """
    check_num_leaves(num_leaves, phone_set, topology)
    growing = _Forest(sums, phone_set, topology, questions, min_frames, variance_floor)
    growing.split_until(num_leaves)
    if growing.num_leaves < num_leaves:
        raise AlignmentError(
            "too little data for so many senones",
            where="align.senones.num_leaves",
            expected=f"{growing.num_leaves} or fewer with {min_frames:g} frames a senone at least",
            got=num_leaves,
            hint="lower num_leaves or min_frames",
        )
    return growing.tree()


def check_num_leaves(num_leaves: int, phone_set: PhoneSet, topology: HmmTopology) -> None:
    """Refuse fewer senones than there are states without context.

    Raises:
        AlignmentError: Naming the least number.
    """
    least = sum(topology.states_of(phone == phone_set.silence) for phone in phone_set.phones)
    if num_leaves < least:
        raise AlignmentError(
            "fewer senones than states without context",
            where="align.senones.num_leaves",
            expected=f"{least} or more: the states of {len(phone_set)} phones",
            got=num_leaves,
        )


class _Forest:
    """The trees while they grow; nodes are numbered as in :class:`TriphoneTree`."""

    def __init__(
        self,
        sums: TriphoneSums,
        phone_set: PhoneSet,
        topology: HmmTopology,
        questions: Sequence[tuple[str, ...]],
        min_frames: float,
        variance_floor: Array,
    ) -> None:
        self._phone_set = phone_set
        self._topology = topology
        self._questions = questions
        self._min_frames = min_frames
        self._variance_floor = variance_floor
        self._asked = _membership(questions, phone_set)  # [Q, P + 1]
        self._keys = sums.keys
        self._moments = packed_moments(sums.counts, sums.first, sums.second)
        self._splits: list[tuple[_BestSplit, int] | None] = []
        self._heap: list[tuple[float, int, _Open]] = []
        for rows in self._rows_of_roots():
            self._add_node(rows)
        self._root_order = list(range(len(self._splits)))
        self.num_leaves = len(self._splits)

    def _rows_of_roots(self) -> list[Array]:
        """Return the rows of each root; none for silence, so that it is not split."""
        rows = []
        phones, states = self._keys[:, 1], self._keys[:, 3]
        for phone_id in range(1, len(self._phone_set) + 1):
            is_silence = phone_id == self._phone_set.silence_id
            own = np.flatnonzero(phones == phone_id)
            for state in range(self._topology.states_of(is_silence)):
                rows.append(own[:0] if is_silence else own[states[own] == state])
        return rows

    def _add_node(self, rows: Array) -> None:
        leaf = _Open(len(self._splits), rows, self._best_split(rows))
        self._splits.append(None)
        if leaf.split is not None:
            heapq.heappush(self._heap, (-leaf.split.gain, leaf.number, leaf))

    def split_until(self, num_leaves: int) -> None:
        """Split the leaf that gains most, again and again."""
        while self._heap and self.num_leaves < num_leaves:
            _, _, leaf = heapq.heappop(self._heap)
            assert leaf.split is not None, "only leaves that can be split are in the heap"
            self._splits[leaf.number] = (leaf.split, len(self._splits))
            context = self._keys[leaf.rows, 2 * leaf.split.side]
            yes = self._asked[leaf.split.question, context] > 0
            self._add_node(leaf.rows[yes])
            self._add_node(leaf.rows[~yes])
            self.num_leaves += 1

    def _best_split(self, rows: Array) -> _BestSplit | None:
        """Return the question of the highest gain, or None where none leaves enough frames on both sides."""
        moments = self._moments[rows]  # [n, 1 + 2 * D]
        if moments[:, 0].sum() < 2 * self._min_frames or not len(self._asked):
            return None
        whole = moments.sum(axis=0)
        best = None
        for side in range(len(SIDES)):
            by_context = _summed_by(self._keys[rows, 2 * side], moments, self._asked.shape[1])
            inside = self._asked @ by_context  # [Q, 1 + 2 * D]
            outside = whole - inside
            enough = np.flatnonzero(np.minimum(inside[:, 0], outside[:, 0]) >= self._min_frames)
            if not len(enough):
                continue
            gains = self._likelihood(inside[enough]) + self._likelihood(outside[enough])
            winner = int(np.argmax(gains))
            gain = float(gains[winner] - self._likelihood(whole[None])[0])
            if gain > 0 and (best is None or gain > best.gain):
                best = _BestSplit(gain, side, int(enough[winner]))
        return best

    def _likelihood(self, moments: Array) -> Array:
        return gaussian_log_likelihood(moments, self._variance_floor)

    def tree(self) -> TriphoneTree:
        """Return the tree; the senones of one root have neighbouring pdf_ids."""
        pdf_of_leaf: dict[int, int] = {}
        waiting = self._root_order[::-1]
        while waiting:
            number = waiting.pop()
            split = self._splits[number]
            if split is None:
                pdf_of_leaf[number] = len(pdf_of_leaf)
            else:
                waiting += [split[1] + 1, split[1]]
        used = sorted({split[0].question for split in self._splits if split is not None})
        renumbered = {question: index for index, question in enumerate(used)}
        nodes: list[Node] = []
        for number, split in enumerate(self._splits):
            if split is None:
                nodes.append(Leaf(pdf_of_leaf[number]))
            else:
                best, child = split
                nodes.append(Split(SIDES[best.side], renumbered[best.question], child, child + 1))
        return TriphoneTree(
            self._phone_set, self._topology, [self._questions[index] for index in used], nodes
        )


def _membership(questions: Sequence[tuple[str, ...]], phone_set: PhoneSet) -> Array:
    """Return 1 where a question's set has a context id, float64 ``[Q, P + 1]``; an edge counts as silence."""
    asked = np.zeros((len(questions), len(phone_set) + 1))
    for row, question in zip(asked, questions, strict=True):
        row[[phone_set.phone_id(phone) for phone in question]] = 1
    asked[:, UTTERANCE_EDGE] = asked[:, phone_set.silence_id]
    return asked


def _summed_by(contexts: Array, moments: Array, num_contexts: int) -> Array:
    """Return the moments summed over the rows of each context id, ``[P + 1, 1 + 2 * D]``."""
    order = np.argsort(contexts, kind="stable")
    present, starts = np.unique(contexts[order], return_index=True)
    summed = np.zeros((num_contexts, moments.shape[1]))
    summed[present] = np.add.reduceat(moments[order], starts, axis=0)
    return summed
