"""Expansion of an FST over phones into one over HMM states (Kaldi's H and its self-loops)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import kaldifst
import numpy as np

from asr_kd.errors import GraphError
from asr_kd.lang.context import in_context
from asr_kd.lang.hmm import Hmm

_NO_ENTRY = -1
_MIXED_ENTRY = 0


@dataclass(frozen=True)
class _PhoneStates:
    """What the states of one phone cost: input labels, costs of staying and of leaving, state by state."""

    labels: list[int]
    loop_costs: list[float]
    exit_costs: list[float]


@dataclass(frozen=True)
class _PhoneArc:
    source: int
    phone_id: int
    olabel: int
    cost: float
    target: int


def expand_to_states(phone_fst: Any, hmm: Hmm, transition_scale: float = 1.0) -> Any:
    """Replace each phone arc by the states of the phone, with self-loops and transition costs.

    The output label and the weight of a phone arc stay on the arc that enters its first state. Arcs of
    the same phone into the same state share their states. A state that is entered by one phone only
    serves as the last state of that phone, which leaves no epsilon arc behind.

    Args:
        phone_fst: ``StdVectorFst`` with phone ids as input labels (0 = epsilon), any output labels.
        hmm: With a tree of any context.
        transition_scale: Factor on the costs of self-loops and exits.

    Returns:
        ``StdVectorFst`` with ``pdf_id + 1`` as input labels and the output labels of ``phone_fst``.

    Raises:
        GraphError: When an input label is no phone id (a disambiguation symbol that was left in).

    Source: Mohri, Pereira & Riley 2008, "Speech Recognition with Weighted Finite-State Transducers";
        Kaldi ``make-h-transducer`` and ``add-self-loops``.
    """
    arcs = _read_arcs(phone_fst, len(hmm.phone_set))
    if hmm.tree.context_width == 1:
        phones = _states_of_phones(hmm, transition_scale)
    else:
        phone_fst, labels = in_context(phone_fst)
        triphones = _states_of_triphones(hmm, transition_scale)
        arcs = _read_arcs(phone_fst, len(labels), [triphones.number(label) for label in labels])
        phones = triphones.states
    sole_phone = _sole_entering_phone(phone_fst, arcs)
    return _Expansion(phone_fst, phones, sole_phone).run(arcs)


@lru_cache(maxsize=4)
def _states_of_phones(hmm: Hmm, transition_scale: float) -> list[_PhoneStates]:
    """Return the states of each phone; kept, since a corpus is aligned with many graphs of one model."""
    phone_ids = range(1, len(hmm.phone_set) + 1)
    return [_phone_states(hmm, hmm.pdf_ids(phone_id), transition_scale) for phone_id in phone_ids]


@lru_cache(maxsize=4)
def _states_of_triphones(hmm: Hmm, transition_scale: float) -> _TriphoneStates:
    return _TriphoneStates(hmm, transition_scale)


class _TriphoneStates:
    """The states of phones in context, numbered from 1; contexts with the same pdfs share a number."""

    def __init__(self, hmm: Hmm, transition_scale: float) -> None:
        self._hmm = hmm
        self._transition_scale = transition_scale
        self._number_of_triphone: dict[tuple[int, ...], int] = {}
        self._number_of_pdfs: dict[tuple[int, ...], int] = {}
        self.states: list[_PhoneStates] = []

    def number(self, label: list[int]) -> int:
        """Return the number of the states that a label in context stands for; 0 for epsilon."""
        if not label:
            return 0
        key = tuple(label)
        if key not in self._number_of_triphone:
            left, phone, right = key
            self._number_of_triphone[key] = self._number(self._hmm.pdf_ids(phone, left, right))
        return self._number_of_triphone[key]

    def _number(self, pdf_ids: list[int]) -> int:
        key = tuple(pdf_ids)
        if key not in self._number_of_pdfs:
            self.states.append(_phone_states(self._hmm, pdf_ids, self._transition_scale))
            self._number_of_pdfs[key] = len(self.states)
        return self._number_of_pdfs[key]


def _phone_states(hmm: Hmm, pdf_ids: list[int], transition_scale: float) -> _PhoneStates:
    loop = hmm.self_loop_probability[pdf_ids]
    return _PhoneStates(
        labels=[pdf_id + 1 for pdf_id in pdf_ids],
        loop_costs=[float(cost) for cost in -transition_scale * np.log(loop)],
        exit_costs=[float(cost) for cost in -transition_scale * np.log1p(-loop)],
    )


def _read_arcs(phone_fst: Any, num_phones: int, number_of_label: list[int] | None = None) -> list[_PhoneArc]:
    """Return all arcs, their input labels translated."""
    arcs = []
    for state in range(phone_fst.num_states):
        for arc in kaldifst.ArcIterator(phone_fst, state):
            if not 0 <= arc.ilabel <= num_phones:
                raise GraphError(
                    f"input label {arc.ilabel} is no phone",
                    expected=f"a phone id up to {num_phones}",
                    hint="disambiguation symbols become epsilon before the expansion",
                )
            phone = arc.ilabel if number_of_label is None else number_of_label[arc.ilabel]
            arcs.append(_PhoneArc(state, phone, arc.olabel, arc.weight.value, arc.nextstate))
    return arcs


def _sole_entering_phone(phone_fst: Any, arcs: list[_PhoneArc]) -> list[int]:
    """Return, for each state, the one phone that enters it; 0 where it is entered otherwise too."""
    sole = [_NO_ENTRY] * phone_fst.num_states
    if phone_fst.num_states:
        sole[phone_fst.start] = _MIXED_ENTRY
    for arc in arcs:
        if sole[arc.target] == _NO_ENTRY:
            sole[arc.target] = arc.phone_id
        elif sole[arc.target] != arc.phone_id:
            sole[arc.target] = _MIXED_ENTRY
    return sole


class _Expansion:
    """Builds the state-level FST; the states of the phone FST keep their numbers."""

    def __init__(self, phone_fst: Any, phones: list[_PhoneStates], sole_phone: list[int]) -> None:
        self._phone_fst = phone_fst
        self._phones = phones
        self._sole_phone = sole_phone
        self._first_state: dict[tuple[int, int], int] = {}
        self._fst = kaldifst.StdVectorFst()

    def run(self, arcs: list[_PhoneArc]) -> Any:
        num_states = self._phone_fst.num_states
        self._fst.reserve_states(num_states)
        for _ in range(num_states):
            self._fst.add_state()
        if num_states:
            self._fst.start = self._phone_fst.start
        for arc in arcs:
            cost = arc.cost + self._leaving_cost(arc.source)
            if arc.phone_id == 0:
                self._add(arc.source, 0, arc.olabel, cost, arc.target)
            else:
                first = self._enter(arc.phone_id, arc.target)
                self._add(arc.source, self._phones[arc.phone_id - 1].labels[0], arc.olabel, cost, first)
        for state in range(num_states):
            final_cost = self._phone_fst.final(state).value
            if not math.isinf(final_cost):
                self._fst.set_final(state, final_cost + self._leaving_cost(state))
        return self._fst

    def _add(self, source: int, ilabel: int, olabel: int, cost: float, target: int) -> None:
        self._fst.add_arc(source, kaldifst.StdArc(ilabel, olabel, cost, target))

    def _leaving_cost(self, state: int) -> float:
        """Return the exit cost that waits in a state which is the last one of a phone."""
        phone_id = self._sole_phone[state]
        return self._phones[phone_id - 1].exit_costs[-1] if phone_id > 0 else 0.0

    def _enter(self, phone_id: int, target: int) -> int:
        """Return the state after the first label of a phone that leads to ``target``."""
        key = (phone_id, target)
        if key not in self._first_state:
            self._first_state[key] = self._add_phone(self._phones[phone_id - 1], phone_id, target)
        return self._first_state[key]

    def _add_phone(self, phone: _PhoneStates, phone_id: int, target: int) -> int:
        """Add the states of a phone from the last to the first; return the first."""
        state = target
        if self._sole_phone[target] != phone_id:
            state = self._fst.add_state()
            self._add(state, 0, 0, phone.exit_costs[-1], target)
        self._add(state, phone.labels[-1], 0, phone.loop_costs[-1], state)
        for index in range(len(phone.labels) - 2, -1, -1):
            following, state = state, self._fst.add_state()
            self._add(state, phone.labels[index], 0, phone.loop_costs[index], state)
            self._add(state, phone.labels[index + 1], 0, phone.exit_costs[index], following)
        return state
