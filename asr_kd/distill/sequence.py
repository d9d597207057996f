"""Criteria over whole sentences: what a lattice's paths say of each frame, and how that follows the scores.

All of them are functions of the log-likelihoods of a net, so that their gradients are gradients of frames.
The loops over arcs are compiled anew in each process: a cache needs a folder that may be written to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np

from asr_kd.decode.state_lattice import NO_FRAME, StateLattice

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class PathSums:
    """Sums over all paths of a lattice.

    Attributes:
        log_total: Logarithm of the sum of the paths' weights.
        occupancy: Share of the paths, by weight, that take each arc ``[A]``.
    """

    log_total: float
    occupancy: Array


def state_scores(lattice: StateLattice, log_likelihoods: Array) -> Array:
    """Return the log-likelihood of every arc's state at its frame ``[A]``, 0 where no frame is taken.

    Args:
        lattice: The paths.
        log_likelihoods: ``[T, S]``.
    """
    arcs = lattice.arcs
    own: Array = np.where(arcs["frame"] == NO_FRAME, 0.0, log_likelihoods[arcs["frame"], arcs["pdf_id"]])
    return own


def arc_scores(lattice: StateLattice, log_likelihoods: Array, acoustic_scale: float) -> Array:
    """Return the log weight of every arc, float64 ``[A]``: its cost, and its state's scaled log-likelihood.

    Args:
        lattice: The paths.
        log_likelihoods: ``[T, S]``.
        acoustic_scale: Factor on them.
    """
    own = state_scores(lattice, log_likelihoods).astype(np.float64)
    weights: Array = acoustic_scale * own - lattice.arcs["cost"]
    return weights


def path_sums(lattice: StateLattice, scores: Array) -> PathSums:
    """Return sum and occupancies of the paths.

    Args:
        lattice: The paths.
        scores: Log weight of every arc ``[A]``.
    """
    arcs = lattice.arcs
    forward, backward = _forward_backward(arcs["source"], arcs["target"], scores, lattice.num_states)
    log_total = float(forward[-1])
    occupancy = np.exp(forward[arcs["source"]] + scores + backward[arcs["target"]] - log_total)
    return PathSums(log_total, occupancy)


def expected_accuracy(lattice: StateLattice, scores: Array, accuracy: Array) -> tuple[float, Array]:
    """Return the mean of a sum over arcs over all paths, and its derivative with regard to the scores.

    Args:
        lattice: The paths.
        scores: Log weight of every arc ``[A]``.
        accuracy: What an arc adds ``[A]``, such as 1 for a frame in the right state.

    Returns:
        The mean over the paths by their weight, and the derivative ``[A]``.

    Source: Povey & Woodland 2002, "Minimum phone error and I-smoothing"; Kaldi
        ``LatticeForwardBackwardMpeVariants``.
    """
    arcs = lattice.arcs
    sources, targets = arcs["source"], arcs["target"]
    forward, backward = _forward_backward(sources, targets, scores, lattice.num_states)
    before, after = _accuracies(sources, targets, scores, accuracy, forward, backward)
    mean = float(before[-1])
    occupancy = np.exp(forward[sources] + scores + backward[targets] - forward[-1])
    return mean, occupancy * (before[sources] + accuracy + after[targets] - mean)


def by_frame(lattice: StateLattice, values: Array, num_pdfs: int) -> Array:
    """Return the sums of the arcs' values over each frame and state, float32 ``[T, S]``.

    Args:
        lattice: The paths.
        values: One an arc ``[A]``.
        num_pdfs: Number of states S.
    """
    arcs = lattice.arcs
    taking = arcs["frame"] != NO_FRAME
    places = arcs["frame"][taking].astype(np.int64) * num_pdfs + arcs["pdf_id"][taking]
    sums = np.bincount(places, values[taking], minlength=lattice.num_frames * num_pdfs)
    return sums.astype(np.float32).reshape(lattice.num_frames, num_pdfs)


@numba.njit()
def _log_add(first: float, second: float) -> float:
    if first < second:
        first, second = second, first
    if second == -np.inf:
        return first
    return float(first + np.log1p(np.exp(second - first)))


@numba.njit()
def _forward_backward(sources: Array, targets: Array, scores: Array, num_states: int) -> tuple[Array, Array]:
    """Return the log weight of all paths to each state, and of all paths from it, ``[N]`` each."""
    forward = np.full(num_states, -np.inf)
    backward = np.full(num_states, -np.inf)
    forward[0] = backward[num_states - 1] = 0.0
    for arc in range(len(sources)):
        target = targets[arc]
        forward[target] = _log_add(forward[target], forward[sources[arc]] + scores[arc])
    for arc in range(len(sources) - 1, -1, -1):
        source = sources[arc]
        backward[source] = _log_add(backward[source], backward[targets[arc]] + scores[arc])
    return forward, backward


@numba.njit()
def _accuracies(
    sources: Array, targets: Array, scores: Array, accuracy: Array, forward: Array, backward: Array
) -> tuple[Array, Array]:
    """Return the mean accuracy of all paths to each state, and of all paths from it, ``[N]`` each."""
    before = np.zeros(len(forward))
    after = np.zeros(len(forward))
    for arc in range(len(sources)):
        source, target = sources[arc], targets[arc]
        share = np.exp(forward[source] + scores[arc] - forward[target])
        before[target] += share * (before[source] + accuracy[arc])
    for arc in range(len(sources) - 1, -1, -1):
        source, target = sources[arc], targets[arc]
        share = np.exp(backward[target] + scores[arc] - backward[source])
        after[source] += share * (after[target] + accuracy[arc])
    return before, after
