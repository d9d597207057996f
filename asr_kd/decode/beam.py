"""Viterbi beam search of one utterance and its hypothesis."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import kaldi_decoder
import kaldifst
import numpy as np

from asr_kd.decode.graph import DecodingGraph
from asr_kd.errors import ConfigError, ModelError

# Frames between prunings of the lattice search: the lattice is the same whatever their number, and with
# Kaldi's own, 25, half the time goes into them.
_PRUNE_INTERVAL = 400
_ANY_NUMBER = 2**31 - 1


@dataclass(frozen=True)
class DecodeConfig:
    """Settings of the search.

    Args:
        acoustic_scale: Factor on the log-likelihoods; its inverse is the LM scale.
        insertion_penalty: Cost of each word, on the scale of the graph's costs.
        beam: Costs worse than the best by more than this are pruned.
        max_active: Largest number of states that are kept at a frame.
    """

    acoustic_scale: float = 0.1
    insertion_penalty: float = 0.0
    beam: float = 13.0
    max_active: int = 3000

    def __post_init__(self) -> None:
        if not (self.acoustic_scale > 0 and self.beam > 0 and self.max_active > 1):
            raise ConfigError(
                "the decoder's settings are out of range",
                expected="acoustic_scale and beam above 0, max_active above 1",
                got=f"{self.acoustic_scale}, {self.beam}, {self.max_active}",
            )


@dataclass(frozen=True)
class Hypothesis:
    """What was recognised in an utterance.

    Attributes:
        words: Empty where nothing was recognised or no path survived.
        cost: Of the best path: graph cost minus scaled log-likelihoods; infinite where no path survived.
        reached_final: Whether the path ends as the grammar wants; if not, it is the best partial path.
    """

    words: tuple[str, ...]
    cost: float
    reached_final: bool

    @property
    def text(self) -> str:
        """The words with blanks between."""
        return " ".join(self.words)


def decode_utterance(
    graph: DecodingGraph,
    log_likelihoods: np.ndarray[Any, Any],
    acoustic_scale: float,
    beam: float,
    max_active: int,
) -> Hypothesis:
    """Return the best word sequence of one utterance.

    Args:
        graph: HCLG; see :func:`asr_kd.decode.graph.with_insertion_penalty` for the cost of words.
        log_likelihoods: ``[T, S]``: log p(s | x) - log p(s).
        acoustic_scale: Factor on them.
        beam: Costs worse than the best by more than this are pruned.
        max_active: Largest number of states that are kept at a frame.

    Raises:
        ModelError: The matrix has another width than the graph, or holds NaN or plus infinity.

    Source: Kaldi ``FasterDecoder``.
    """
    scores = checked_scores(graph, log_likelihoods) * np.float32(acoustic_scale)
    return _best_path(graph, scores, kaldi_decoder.FasterDecoderOptions(beam=beam, max_active=max_active))


def best_within_beam(graph: DecodingGraph, scores: np.ndarray[Any, Any], beam: float) -> Hypothesis:
    """Return the best path of a search that nothing but its beam prunes, as that of :func:`raw_lattice`.

    Args:
        graph: HCLG.
        scores: Scaled log-likelihoods ``[T, S]``, float32.
        beam: Costs worse than the best by more than this are pruned.
    """
    options = kaldi_decoder.FasterDecoderOptions(beam=beam, max_active=_ANY_NUMBER, min_active=0)
    return _best_path(graph, scores, options)


def _best_path(graph: DecodingGraph, scores: np.ndarray[Any, Any], options: Any) -> Hypothesis:
    if len(scores) == 0:
        return Hypothesis((), math.inf, False)
    decoder = kaldi_decoder.FasterDecoder(graph.fst, options)
    decoder.decode(kaldi_decoder.DecodableCtc(scores))
    return best_hypothesis(graph, decoder, len(scores))


def best_hypothesis(
    graph: DecodingGraph, decoder: Any, num_frames: int, use_final_probs: bool = True
) -> Hypothesis:
    """Return the best path of a ``FasterDecoder`` that has searched ``num_frames`` frames."""
    found, lattice = decoder.get_best_path(use_final_probs)
    if not found:
        return Hypothesis((), math.inf, False)
    is_linear, labels, word_ids, weight = kaldifst.get_linear_symbol_sequence(lattice)
    assert is_linear, "the best path is one path"
    if len(labels) != num_frames:  # the search died before the last frame
        return Hypothesis((), math.inf, False)
    words = tuple(graph.words[word_id - 1] for word_id in word_ids)
    return Hypothesis(words, float(weight.value1 + weight.value2), bool(decoder.reached_final()))


def raw_lattice(graph: DecodingGraph, scores: np.ndarray[Any, Any], beam: float, lattice_beam: float) -> Any:
    """Return all paths near the best one as a ``Lattice`` of states, or None where none survives the beam.

    Args:
        graph: HCLG.
        scores: Scaled log-likelihoods ``[T, S]``, float32.
        beam: Costs worse than the best by more than this are pruned at each frame.
        lattice_beam: Paths worse than the best by more than this are left out.

    Source: Kaldi ``LatticeSimpleDecoder``.
    """
    config = kaldi_decoder.LatticeSimpleDecoderConfig(
        beam=beam, lattice_beam=lattice_beam, prune_interval=_PRUNE_INTERVAL
    )
    decoder = kaldi_decoder.LatticeSimpleDecoder(graph.fst, config)
    if not decoder.decode(kaldi_decoder.DecodableCtc(scores)):
        return None
    found, lattice = decoder.get_raw_lattice()
    return lattice if found and lattice.num_states > 0 else None


def checked_scores(graph: DecodingGraph, log_likelihoods: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the matrix as contiguous float32; a decoder would read beyond a narrower one.

    Raises:
        ModelError: It has another width than the graph, or holds NaN or plus infinity.
    """
    if log_likelihoods.ndim != 2 or log_likelihoods.shape[1] != graph.num_pdfs:
        raise ModelError(
            "log-likelihoods do not fit the decoding graph",
            expected=f"[T, {graph.num_pdfs}]",
            got=list(log_likelihoods.shape),
            hint="model and graph were made for different senone trees",
        )
    if not bool((log_likelihoods < np.inf).all()):
        raise ModelError(
            "log-likelihoods hold NaN or plus infinity", hint="the model that made them has diverged"
        )
    return np.ascontiguousarray(log_likelihoods, dtype=np.float32)
