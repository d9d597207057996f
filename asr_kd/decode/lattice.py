"""Beam search that keeps what lies near the best path: a lattice of words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import kaldifst
import numpy as np

from asr_kd.decode.beam import (
    DecodeConfig,
    Hypothesis,
    best_within_beam,
    checked_scores,
    decode_utterance,
    raw_lattice,
)
from asr_kd.decode.fst_arrays import from_arrays, lattice_to_arrays, to_arrays
from asr_kd.decode.graph import DecodingGraph
from asr_kd.decode.word_lattice import Candidate, WordLattice
from asr_kd.errors import ConfigError

_WIDENING = 1.25
_TOLERANCE = 1e-2  # the two searches add float32 costs in different orders
_MAX_STATES = 50_000


@dataclass(frozen=True)
class LatticeConfig:
    """How much a lattice holds.

    Args:
        beam: Of the search to begin with. It has no ``max_active``; where the plain search found a better
            path the beam grows.
        lattice_beam: Paths worse than the best by more than this are left out.
        widest_beam: How far; each step of 1 may double time and memory.
            Where the lattice lacks the best path even so, its own best one stands in the list.
    """

    beam: float = 8.0
    lattice_beam: float = 6.0
    widest_beam: float = 10.0

    def __post_init__(self) -> None:
        if not (self.beam > 0 and self.lattice_beam > 0):
            raise ConfigError(
                "the lattice's settings are out of range",
                expected="beam and lattice_beam above 0",
                got=f"{self.beam}, {self.lattice_beam}",
            )


@dataclass(frozen=True)
class LatticeResult:
    """What was recognised in an utterance, and what else it may have been.

    Attributes:
        best: As :func:`asr_kd.decode.beam.decode_utterance` gives it.
        lattice: None where nothing was recognised.
    """

    best: Hypothesis
    lattice: WordLattice | None


def decode_lattice(
    graph: DecodingGraph,
    log_likelihoods: np.ndarray[Any, Any],
    config: DecodeConfig,
    lattice: LatticeConfig | None = None,
) -> LatticeResult:
    """Return the best word sequence of an utterance and the lattice of those near it.

    Args:
        graph: HCLG, the insertion penalty included.
        log_likelihoods: ``[T, S]``: log p(s | x) - log p(s).
        config: Acoustic scale, beam and max_active of the plain search.
        lattice: Beams of the lattice.

    Raises:
        ModelError: The matrix has another width than the graph, or holds NaN or plus infinity.

    Source: Kaldi ``LatticeSimpleDecoder``; Povey et al. 2012, "Generating exact lattices in the WFST
        framework".
    """
    settings = lattice or LatticeConfig()
    best = decode_utterance(graph, log_likelihoods, config.acoustic_scale, config.beam, config.max_active)
    if np.isinf(best.cost):
        return LatticeResult(best, None)
    scores = checked_scores(graph, log_likelihoods) * np.float32(config.acoustic_scale)
    beam = min(settings.beam, config.beam)
    widest = max(beam, min(settings.widest_beam, config.beam))
    # A search that keeps no lattice takes a tenth of the time, and tells whether the beam holds the path.
    while beam < widest and best_within_beam(graph, scores, beam).cost > best.cost + _TOLERANCE:
        beam = min(beam * _WIDENING, widest)
    while True:
        found = _search(graph, scores, beam, settings.lattice_beam)
        if found is not None and (best.cost + _TOLERANCE >= _best_cost(found) or beam >= widest):
            return LatticeResult(best, found)
        if beam >= widest:
            return LatticeResult(best, WordLattice.of_candidates([Candidate(best.words, best.cost)]))
        beam = min(beam * _WIDENING, widest)


def _best_cost(lattice: WordLattice) -> float:
    return lattice.nbest(1)[0].cost


def _search(
    graph: DecodingGraph, scores: np.ndarray[Any, Any], beam: float, lattice_beam: float
) -> WordLattice | None:
    """Return the lattice, or None where no path survives the beam."""
    raw = raw_lattice(graph, scores, beam, lattice_beam)
    if raw is None:
        return None
    arrays = lattice_to_arrays(raw)
    arrays.arcs["ilabel"] = arrays.arcs["olabel"]  # words alone, epsilon between them
    fst = from_arrays(arrays)
    try:
        kaldifst.determinize_star(fst, max_states=_MAX_STATES)
    except RuntimeError:  # too many word sequences for their number: keep fewer of them
        return _search(graph, scores, beam, lattice_beam / 2)
    words = to_arrays(fst)
    return WordLattice(words, graph.words) if len(words.finals) else None
