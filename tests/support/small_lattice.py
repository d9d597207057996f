"""A lattice small enough to list its paths, in OpenFst's order of states turned round."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from asr_kd.decode.fst_arrays import ARC, FstArrays
from asr_kd.decode.state_lattice import StateLattice, from_fst

NUM_FRAMES, NUM_PDFS = 3, 4

# Source, label (pdf_id + 1), cost, target; the start is 5, and 3 -> 1 and 4 -> 1 take no frame.
_ARCS = [
    (5, 1, 0.5, 4),
    (5, 2, 0.1, 3),
    (4, 0, 0.3, 1),
    (3, 0, 0.2, 1),
    (4, 3, 0.0, 2),
    (1, 2, 0.7, 2),
    (1, 4, 0.4, 2),
    (2, 3, 0.2, 0),
    (2, 1, 0.9, 0),
]


def small_fst() -> FstArrays:
    """Return an acyclic FST of six states; state 0 ends with cost 0.25."""
    arcs = sorted(_ARCS)
    finals = np.full(6, np.inf, dtype=np.float32)
    finals[0] = 0.25
    table = np.array([(label, 0, cost, target) for _, label, cost, target in arcs], dtype=ARC)
    sources = [source for source, *_ in arcs]
    return FstArrays(5, finals, np.bincount(sources, minlength=6), table)


def small_lattice() -> StateLattice:
    """Return the lattice of :func:`small_fst`."""
    return from_fst(small_fst())


def paths(lattice: StateLattice) -> Iterator[list[int]]:
    """Yield the arcs of every path from the first to the last state."""
    sources, targets = lattice.arcs["source"], lattice.arcs["target"]

    def go_on(state: int, taken: list[int]) -> Iterator[list[int]]:
        if state == lattice.num_states - 1:
            yield taken
        for arc in np.flatnonzero(sources == state):
            yield from go_on(int(targets[arc]), [*taken, int(arc)])

    yield from go_on(0, [])


def path_weights(lattice: StateLattice, scores: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the weight of every path."""
    return np.array([np.exp(scores[path].sum()) for path in paths(lattice)])
