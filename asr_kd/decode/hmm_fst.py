"""Expansion of a graph over phones into one over senones in context (C and H), determinised and minimised."""

from __future__ import annotations

from typing import Any

import kaldifst
import numpy as np

from asr_kd.decode.fst_arrays import ARC, FstArrays, from_arrays, to_arrays
from asr_kd.lang.context import in_context
from asr_kd.lang.hmm import Hmm

Array = np.ndarray[Any, Any]

_EPSILON = 0
_NO_ENTRY = np.iinfo(np.int32).max


def expand_in_context(phone_fst: Any, first_disambiguation: int, hmm: Hmm, transition_scale: float) -> Any:
    """Return the graph over senones of a graph over phones.

    Senones are determinised and minimised while disambiguation symbols are still there, before the
    self-loops: triphones that begin or end with the same senones share them.

    Args:
        phone_fst: ``StdVectorFst`` with phone ids and disambiguation symbols as input labels.
        first_disambiguation: The smallest disambiguation symbol.
        hmm: With a tree of triphones.
        transition_scale: Factor on the costs of self-loops and exits.

    Returns:
        ``StdVectorFst`` with ``pdf_id + 1`` as input labels.

    Source: Kaldi ``mkgraph.sh``: ``fstcomposecontext``, ``make-h-transducer``, ``fstdeterminizestar``,
        ``add-self-loops``.
    """
    last_symbol = max(int(to_arrays(phone_fst).arcs["ilabel"].max(initial=0)), first_disambiguation)
    fst, labels = in_context(phone_fst, range(first_disambiguation, last_symbol + 1))
    fst = kaldifst.StdVectorFst(_composed(_hmm_fst(labels, hmm), fst))
    kaldifst.determinize_star(fst, use_log=True)
    kaldifst.minimize_encoded(fst)
    fst = without_disambiguation(fst, hmm.num_pdfs + 1)
    return from_arrays(add_self_loops(to_arrays(fst), hmm.self_loop_probability, transition_scale))


def without_disambiguation(fst: Any, first_disambiguation: int) -> Any:
    """Return the FST with epsilon for disambiguation symbols, which are the highest input labels."""
    arrays = to_arrays(fst)
    arrays.arcs["ilabel"][arrays.arcs["ilabel"] >= first_disambiguation] = _EPSILON
    return from_arrays(arrays)


def _composed(hmm_fst: Any, fst: Any) -> Any:
    kaldifst.arcsort(hmm_fst, sort_type="olabel")
    kaldifst.arcsort(fst, sort_type="ilabel")
    return kaldifst.compose(hmm_fst, fst)


def _hmm_fst(labels: list[list[int]], hmm: Hmm) -> Any:
    """Return H without self-loops, from ``pdf_id + 1`` to labels in context.

    Disambiguation symbols pass through it, renumbered above the senones.
    """
    fst = kaldifst.StdVectorFst()
    loop = fst.add_state()
    fst.start = loop
    fst.set_final(loop, 0.0)
    num_symbols = 0
    for number, label in enumerate(labels):
        if len(label) == 1:
            num_symbols += 1
            fst.add_arc(loop, kaldifst.StdArc(hmm.num_pdfs + num_symbols, number, 0.0, loop))
        elif label:
            left, phone, right = label
            state, olabel = loop, number
            *inner, last = hmm.pdf_ids(phone, left, right)
            for pdf_id in inner:
                following = fst.add_state()
                fst.add_arc(state, kaldifst.StdArc(pdf_id + 1, olabel, 0.0, following))
                state, olabel = following, _EPSILON
            fst.add_arc(state, kaldifst.StdArc(last + 1, olabel, 0.0, loop))
    return fst


def add_self_loops(arrays: FstArrays, self_loop_probability: Array, transition_scale: float) -> FstArrays:
    """Return a graph whose senones last one frame or more.

    The cost of leaving a senone waits in the state that its arc enters. Where a state is entered by other
    arcs too, each senone gets a state of its own before it.

    Args:
        arrays: Each arc with an input label above 0 is one frame of the senone ``label - 1``.
        self_loop_probability: Of each senone ``[S]``.
        transition_scale: Factor on the costs of self-loops and exits.

    Source: Kaldi ``AddSelfLoops`` in hmm-utils.cc.
    """
    loop_cost = np.concatenate([[0.0], -transition_scale * np.log(self_loop_probability)])
    exit_cost = np.concatenate([[0.0], -transition_scale * np.log1p(-self_loop_probability)])
    arcs, sources = arrays.arcs.copy(), arrays.sources
    senone = _sole_entering_label(arrays)  # of each state; 0 where it is entered otherwise too
    arcs["weight"] += exit_cost[senone[sources]].astype(np.float32)
    finals = arrays.finals + exit_cost[senone].astype(np.float32)

    apart = (arcs["ilabel"] != _EPSILON) & (senone[arcs["nextstate"]] == _EPSILON)
    pairs = np.stack([arcs["nextstate"][apart], arcs["ilabel"][apart]], axis=1)  # [n, 2]
    entries, entry_of_arc = np.unique(pairs, axis=0, return_inverse=True)
    num_states = len(finals)
    arcs["nextstate"][apart] = num_states + entry_of_arc.reshape(-1)
    new_states = num_states + np.arange(len(entries))
    exits = _arcs(np.zeros(len(entries)), exit_cost[entries[:, 1]], entries[:, 0])

    senone = np.concatenate([senone, entries[:, 1]])
    looping = np.flatnonzero(senone != _EPSILON)
    loops = _arcs(senone[looping], loop_cost[senone[looping]], looping)
    all_sources = np.concatenate([sources, new_states, looping])
    order = np.argsort(all_sources, kind="stable")
    return FstArrays(
        arrays.start,
        np.concatenate([finals, np.full(len(entries), np.inf, dtype=np.float32)]),
        np.bincount(all_sources, minlength=len(senone)),
        np.concatenate([arcs, exits, loops])[order],
    )


def _sole_entering_label(arrays: FstArrays) -> Array:
    """Return the input label of all arcs into each state, 0 where they differ and at the start."""
    num_states = len(arrays.finals)
    lowest = np.full(num_states, _NO_ENTRY, dtype=np.int64)
    highest = np.zeros(num_states, dtype=np.int64)
    np.minimum.at(lowest, arrays.arcs["nextstate"], arrays.arcs["ilabel"])
    np.maximum.at(highest, arrays.arcs["nextstate"], arrays.arcs["ilabel"])
    sole = np.where(lowest == highest, highest, _EPSILON)
    if arrays.start >= 0:
        sole[arrays.start] = _EPSILON
    return sole


def _arcs(labels: Array, costs: Array, targets: Array) -> Array:
    """Return arcs without output labels."""
    arcs = np.zeros(len(targets), dtype=ARC)
    arcs["ilabel"], arcs["weight"], arcs["nextstate"] = labels, costs, targets
    return arcs
