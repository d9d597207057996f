"""Expansion of a graph over phones into one over senones in context (C and H), determinised and minimised."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import kaldifst
import numpy as np

from asr_kd.decode.fst_arrays import ARC, FstArrays, from_arrays, to_arrays
from asr_kd.lang.context import in_context
from asr_kd.lang.hmm import Hmm

Array = np.ndarray[Any, Any]

_EPSILON = 0
_NO_ENTRY = np.iinfo(np.int32).max


def expand_alone(phone_fst: Any, first_disambiguation: int, hmm: Hmm, transition_scale: float) -> Any:
    """Return the graph over senones of a graph over phones, when no neighbour chooses a senone.

    Args:
        phone_fst: ``StdVectorFst`` with phone ids and disambiguation symbols as input labels.
        first_disambiguation: The smallest disambiguation symbol.
        hmm: With a tree of monophones.
        transition_scale: Factor on the costs of self-loops and exits.

    Returns:
        ``StdVectorFst`` with ``pdf_id + 1`` as input labels.
    """
    arrays = to_arrays(phone_fst)
    _forget_disambiguation(arrays, first_disambiguation)
    phone_ids = range(1, len(hmm.phone_set) + 1)
    chains = [[], *(_labels(hmm.pdf_ids(phone_id)) for phone_id in phone_ids)]
    arrays = in_senones(arrays, chains)
    return from_arrays(add_self_loops(arrays, hmm.self_loop_probability, transition_scale))


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
    fst = from_arrays(in_senones(to_arrays(fst), _chains_in_context(labels, hmm)))
    kaldifst.determinize_star(fst, use_log=True)
    kaldifst.minimize_encoded(fst)
    arrays = to_arrays(fst)
    del fst
    _forget_disambiguation(arrays, hmm.num_pdfs + 1)
    return from_arrays(add_self_loops(arrays, hmm.self_loop_probability, transition_scale))


def _forget_disambiguation(arrays: FstArrays, first_disambiguation: int) -> None:
    """Put epsilon for disambiguation symbols, which are the highest input labels."""
    arrays.arcs["ilabel"][arrays.arcs["ilabel"] >= first_disambiguation] = _EPSILON


def _labels(pdf_ids: Sequence[int]) -> list[int]:
    return [pdf_id + 1 for pdf_id in pdf_ids]


def _chains_in_context(labels: list[list[int]], hmm: Hmm) -> list[list[int]]:
    """Return what each label in context becomes; disambiguation symbols are renumbered above the senones."""
    chains = []
    num_symbols = 0
    for label in labels:
        if len(label) == 1:
            num_symbols += 1
            chains.append([hmm.num_pdfs + num_symbols])
        elif label:
            left, phone, right = label
            chains.append(_labels(hmm.pdf_ids(phone, left, right)))
        else:
            chains.append([])
    return chains


def in_senones(arrays: FstArrays, chains: Sequence[Sequence[int]]) -> FstArrays:
    """Replace each arc by a chain of arcs, the output label and the weight on the first.

    Arcs into one state share what follows the first arc of their chain. It is the composition with H, which
    need not be built.

    Args:
        arrays: The graph.
        chains: New input labels of each input label; none for epsilon.
    """
    number_of_chain: dict[tuple[int, ...], int] = {}
    numbers = [number_of_chain.setdefault(tuple(chain), len(number_of_chain)) for chain in chains]
    lengths = np.array([len(chain) for chain in number_of_chain])
    labels = np.zeros((len(lengths), max(1, lengths.max())), dtype=np.int32)
    for row, chain in zip(labels, number_of_chain, strict=True):
        row[: len(chain)] = chain

    arcs = arrays.arcs.copy()
    chain_of_arc = np.array(numbers)[arcs["ilabel"]]
    long = np.flatnonzero(lengths[chain_of_arc] > 1)
    keys = arcs["nextstate"][long].astype(np.int64) * len(lengths) + chain_of_arc[long]
    entries, entry_of_arc = np.unique(keys, return_inverse=True)
    targets, chain_of_entry = np.divmod(entries, len(lengths))
    num_inner = lengths[chain_of_entry] - 1
    first = len(arrays.finals) + np.cumsum(num_inner) - num_inner
    arcs["ilabel"] = labels[chain_of_arc, 0]
    arcs["nextstate"][long] = first[entry_of_arc]

    all_sources, all_arcs = [arrays.sources], [arcs]
    for position in range(1, labels.shape[1]):
        rows = np.flatnonzero(num_inner >= position)
        following = np.where(num_inner[rows] == position, targets[rows], first[rows] + position)
        all_sources.append(first[rows] + position - 1)
        all_arcs.append(_arcs(labels[chain_of_entry[rows], position], np.zeros(len(rows)), following))
    finals = np.concatenate([arrays.finals, np.full(num_inner.sum(), np.inf, dtype=np.float32)])
    return _assembled(arrays.start, finals, all_sources, all_arcs)


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
    num_labels = len(loop_cost)
    keys = arcs["nextstate"][apart].astype(np.int64) * num_labels + arcs["ilabel"][apart]
    entries, entry_of_arc = np.unique(keys, return_inverse=True)
    targets, senone_of_entry = np.divmod(entries, num_labels)
    arcs["nextstate"][apart] = len(finals) + entry_of_arc
    new_states = len(finals) + np.arange(len(entries))
    exits = _arcs(np.zeros(len(entries)), exit_cost[senone_of_entry], targets)

    senone = np.concatenate([senone, senone_of_entry])
    looping = np.flatnonzero(senone != _EPSILON)
    loops = _arcs(senone[looping], loop_cost[senone[looping]], looping)
    finals = np.concatenate([finals, np.full(len(entries), np.inf, dtype=np.float32)])
    return _assembled(arrays.start, finals, [sources, new_states, looping], [arcs, exits, loops])


def _assembled(start: int, finals: Array, sources: list[Array], arcs: list[Array]) -> FstArrays:
    """Return the graph of arcs in any order."""
    all_sources = np.concatenate(sources)
    order = np.argsort(all_sources, kind="stable")
    num_arcs = np.bincount(all_sources, minlength=len(finals))
    return FstArrays(start, finals, num_arcs, np.concatenate(arcs)[order])


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
