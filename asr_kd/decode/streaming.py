"""Frame-synchronous search: the best words so far, after each piece of an utterance."""

from __future__ import annotations

import math
from typing import Any

import kaldi_decoder
import numpy as np

from asr_kd.decode.beam import DecodeConfig, Hypothesis, best_hypothesis, checked_scores
from asr_kd.decode.graph import DecodingGraph


class StreamingDecoder:
    """The search of :func:`asr_kd.decode.beam.decode_utterance`, fed piece by piece.

    Args:
        graph: HCLG, the insertion penalty included.
        config: Acoustic scale and beam.
    """

    def __init__(self, graph: DecodingGraph, config: DecodeConfig) -> None:
        self._graph = graph
        self._scale = np.float32(config.acoustic_scale)
        options = kaldi_decoder.FasterDecoderOptions(beam=config.beam, max_active=config.max_active)
        self._decoder = kaldi_decoder.FasterDecoder(graph.fst, options)
        self._decoder.init_decoding()
        self._num_frames = 0

    def accept(self, log_likelihoods: np.ndarray[Any, Any]) -> None:
        """Search on over the next frames ``[n, S]``.

        Raises:
            ModelError: The matrix has another width than the graph, or holds NaN or plus infinity.
        """
        scores = checked_scores(self._graph, log_likelihoods) * self._scale
        if len(scores):
            self._decoder.advance_decoding(kaldi_decoder.DecodableCtc(scores, self._num_frames))
            self._num_frames += len(scores)

    def partial_words(self) -> tuple[str, ...]:
        """Return the words of the best path so far, whether the sentence may end there or not."""
        return self._best(use_final_probs=False).words

    def finish(self) -> Hypothesis:
        """Return the best word sequence of all frames."""
        return self._best(use_final_probs=True)

    def _best(self, use_final_probs: bool) -> Hypothesis:
        if self._num_frames == 0:
            return Hypothesis((), math.inf, False)
        return best_hypothesis(self._graph, self._decoder, self._num_frames, use_final_probs)
