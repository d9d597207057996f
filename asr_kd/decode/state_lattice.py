"""The paths through HMM states that compete for an utterance, for training on whole sentences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np

from asr_kd.decode.beam import checked_scores, raw_lattice
from asr_kd.decode.fst_arrays import FstArrays, lattice_to_arrays
from asr_kd.decode.graph import DecodingGraph

NO_FRAME = -1
"""Frame and pdf_id of an arc that takes no frame."""

STATE_ARC = np.dtype(
    [("source", "<i4"), ("target", "<i4"), ("frame", "<i4"), ("pdf_id", "<i4"), ("cost", "<f4")]
)

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class StateLattice:
    """An acyclic graph whose paths are state sequences, with the costs of words and transitions.

    Attributes:
        arcs: :data:`STATE_ARC` ``[A]``, sorted by source. States are numbered so that an arc leads from a
            smaller to a larger number; the paths begin in state 0 and end in the last one.
    """

    arcs: Array

    @property
    def num_states(self) -> int:
        """Number of states N."""
        return int(self.arcs["target"].max()) + 1 if len(self.arcs) else 0

    @property
    def num_frames(self) -> int:
        """Number of frames T that each path takes."""
        return int(self.arcs["frame"].max()) + 1 if len(self.arcs) else 0


def state_lattice(
    graph: DecodingGraph,
    log_likelihoods: Array,
    acoustic_scale: float,
    beam: float,
    lattice_beam: float,
) -> StateLattice | None:
    """Return the state sequences near the best one, or None where no path survives the beam.

    Args:
        graph: HCLG.
        log_likelihoods: ``[T, S]``: log p(s | x) - log p(s).
        acoustic_scale: Factor on them.
        beam: Costs worse than the best by more than this are pruned at each frame.
        lattice_beam: Paths worse than the best by more than this are left out.

    Raises:
        ModelError: The matrix has another width than the graph, or holds NaN or plus infinity.

    Source: Kaldi ``LatticeSimpleDecoder``, ``nnet-latgen-faster --determinize-lattice=false``.
    """
    scores = checked_scores(graph, log_likelihoods) * np.float32(acoustic_scale)
    if len(scores) == 0:
        return None
    raw = raw_lattice(graph, scores, beam, lattice_beam)
    if raw is None:
        return None
    lattice = from_fst(lattice_to_arrays(raw, acoustic_scale=0.0))
    return lattice if lattice.num_frames == len(scores) else None


def from_fst(fst: FstArrays) -> StateLattice:
    """Return the paths of an acyclic FST over ``pdf_id + 1``, 0 taking no frame, from its start state.

    Args:
        fst: Each state lies on a path from the start, each path to a state takes as many frames.
    """
    finals = np.flatnonzero(np.isfinite(fst.finals))
    num_states = len(fst.finals) + 1
    sources = np.concatenate([fst.sources, finals]).astype(np.int32)
    targets = np.concatenate([fst.arcs["nextstate"], np.full(len(finals), num_states - 1)]).astype(np.int32)
    labels = np.concatenate([fst.arcs["ilabel"], np.zeros(len(finals))]).astype(np.int32)
    costs = np.concatenate([fst.arcs["weight"], fst.finals[finals]]).astype(np.float32)
    by_source = np.argsort(sources, kind="stable")
    sources, targets = sources[by_source], targets[by_source]
    labels, costs = labels[by_source], costs[by_source]
    first_arc = np.searchsorted(sources, np.arange(num_states + 1)).astype(np.int64)
    number, frame = _numbered(first_arc, targets, labels, fst.start)
    arcs = np.zeros(len(sources), dtype=STATE_ARC)
    arcs["source"], arcs["target"], arcs["cost"] = number[sources], number[targets], costs
    takes_frame = labels > 0
    arcs["frame"] = np.where(takes_frame, frame[sources], NO_FRAME)
    arcs["pdf_id"] = np.where(takes_frame, labels - 1, NO_FRAME)
    return StateLattice(arcs[np.argsort(arcs["source"], kind="stable")])


@numba.njit()
def _numbered(first_arc: Array, targets: Array, labels: Array, start: int) -> tuple[Array, Array]:
    """Return each state's place in a topological order, and the frames that lead to it.

    Source: Kahn 1962, "Topological sorting of large networks".
    """
    num_states = len(first_arc) - 1
    num_incoming = np.zeros(num_states, np.int32)
    for target in targets:
        num_incoming[target] += 1
    number = np.full(num_states, -1, np.int32)
    frame = np.zeros(num_states, np.int32)
    waiting = np.empty(num_states, np.int32)
    waiting[0] = start
    taken, num_waiting = 0, 1
    while taken < num_waiting:
        state = waiting[taken]
        number[state] = taken
        taken += 1
        for arc in range(first_arc[state], first_arc[state + 1]):
            target = targets[arc]
            frame[target] = frame[state] + (labels[arc] > 0)
            num_incoming[target] -= 1
            if num_incoming[target] == 0:
                waiting[num_waiting] = target
                num_waiting += 1
    return number, frame
