"""Viterbi beam search over a graph whose input labels are ``pdf_id + 1``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import kaldi_decoder
import kaldifst
import numpy as np

from asr_kd.errors import GraphError, ModelError

DEFAULT_MAX_ACTIVE = 7000


@dataclass(frozen=True)
class SearchResult:
    """The best path.

    Attributes:
        pdf_ids: One for each frame, int32 ``[T]``.
        olabels: Output labels along the path without epsilon: word ids.
        cost: Graph cost minus the sum of the scores.
    """

    pdf_ids: np.ndarray[Any, Any]
    olabels: list[int]
    cost: float


def viterbi_search(
    graph: Any, scores: np.ndarray[Any, Any], beam: float, max_active: int = DEFAULT_MAX_ACTIVE
) -> SearchResult | None:
    """Return the best path through a graph, or None when no final state is reached.

    Args:
        graph: ``StdVectorFst`` with ``pdf_id + 1`` as input labels; see :func:`check_graph`.
        scores: Scaled log-likelihoods, float32 ``[T, S]``.
        beam: Costs worse than the best by more than this are pruned.
        max_active: Largest number of states kept at a frame.

    Raises:
        ModelError: When a score is not a number.

    Source: Kaldi ``FasterDecoder``.
    """
    if len(scores) == 0:
        return None
    if bool(np.isnan(scores).any()):
        raise ModelError("the acoustic scores hold NaN", hint="the model that made them has diverged")
    options = kaldi_decoder.FasterDecoderOptions(beam=beam, max_active=max_active)
    decoder = kaldi_decoder.FasterDecoder(graph, options)
    decoder.decode(kaldi_decoder.DecodableCtc(np.ascontiguousarray(scores, dtype=np.float32)))
    if not decoder.reached_final():
        return None
    found, lattice = decoder.get_best_path()
    if not found:
        return None
    is_linear, labels, olabels, weight = kaldifst.get_linear_symbol_sequence(lattice)
    assert is_linear, "the best path is one path"
    assert len(labels) == len(scores), f"{len(labels)} labels for {len(scores)} frames"
    return SearchResult(
        pdf_ids=np.asarray(labels, dtype=np.int32) - 1,
        olabels=list(olabels),
        cost=float(weight.value1 + weight.value2),
    )


def check_graph(graph: Any, num_pdfs: int, where: str | None = None) -> None:
    """Refuse a graph that asks for scores which do not exist: the decoder would read beyond its matrix.

    Raises:
        GraphError: When an input label is above ``num_pdfs`` or negative, or the graph is empty.
    """
    if graph.num_states == 0 or graph.start < 0:
        raise GraphError("the graph is empty", where=where)
    for state in range(graph.num_states):
        for arc in kaldifst.ArcIterator(graph, state):
            if not 0 <= arc.ilabel <= num_pdfs:
                raise GraphError(
                    "the graph was made for another senone tree",
                    where=where,
                    expected=f"input labels up to {num_pdfs}",
                    got=arc.ilabel,
                )
