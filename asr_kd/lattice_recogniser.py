"""Recognition with alternatives: n-best lists, another language model, word times and confidences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from asr_kd.align.viterbi import Aligner, AlignmentConfig
from asr_kd.align.word_times import word_times
from asr_kd.data.manifest import Utterance
from asr_kd.decode.graph import load_graph, with_insertion_penalty
from asr_kd.decode.lattice import LatticeConfig, decode_lattice
from asr_kd.decode.rescore import Rescorer, grammar_cost
from asr_kd.decode.word_lattice import Candidate, WordLattice
from asr_kd.errors import AlignmentError, ModelError
from asr_kd.lang.arpa import read_arpa
from asr_kd.lang.hmm import Hmm
from asr_kd.lang.lexicon import read_lexicon
from asr_kd.recogniser import HMM_FILE, LEXICON_FILE, LM_FILE, Recogniser

# A larger model may prefer what the graph's ranks low, so more are rescored than are shown.
_NUM_RESCORED = 200
_BEAM, _RETRY_BEAM = 20.0, 200.0


@dataclass(frozen=True)
class TimedWord:
    """A recognised word.

    Attributes:
        word: As in the lexicon.
        start: In seconds.
        duration: In seconds.
        confidence: Its posterior, 0 to 1.
    """

    word: str
    start: float
    duration: float
    confidence: float


@dataclass(frozen=True)
class Alternative:
    """An entry of an n-best list.

    Attributes:
        words: Empty where nothing was recognised.
        cost: Graph cost minus scaled log-likelihoods.
        lm_cost: The language model's share of it, in natural logarithms.
    """

    words: tuple[str, ...]
    cost: float
    lm_cost: float

    @property
    def text(self) -> str:
        """The words with blanks between."""
        return " ".join(self.words)


@dataclass(frozen=True)
class Transcription:
    """What an utterance may have been.

    Attributes:
        alternatives: Best first; none where nothing was recognised.
        confidences: Of the words of the first; none unless asked for.
        timed_words: The same words with times; None where they cannot be aligned, and unless asked for.
    """

    alternatives: list[Alternative]
    confidences: list[float]
    timed_words: list[TimedWord] | None = None


class LatticeRecogniser:
    """A recogniser that gives alternatives.

    Args:
        recogniser: Nets, graph and scales.
        rescoring: An ARPA file whose probabilities replace those of the graph's language model.
        lattice: Beams of the lattice.

    Raises:
        ModelError: The recogniser lacks its language model.
        LanguageModelError: The ARPA file is malformed, lacks words of the graph or gives them no probability.
    """

    def __init__(
        self, recogniser: Recogniser, rescoring: Path | None = None, lattice: LatticeConfig | None = None
    ) -> None:
        self._recogniser = recogniser
        self._graph = with_insertion_penalty(
            load_graph(recogniser.graph), recogniser.search.insertion_penalty
        )
        self._lattice = lattice or LatticeConfig()
        self._lm = read_arpa(_part(recogniser, LM_FILE)).model
        self._rescorer: Rescorer | None = None
        if rescoring is not None:
            new = read_arpa(rescoring, self._graph.words).model
            self._rescorer = Rescorer(self._lm, new, rescoring)
            self._lm = new

    def transcribe(
        self,
        utterances: Sequence[Utterance],
        num_best: int = 1,
        with_times: bool = False,
        search_path: Path | None = None,
        with_confidences: bool = True,
    ) -> Iterator[tuple[str, Transcription]]:
        """Recognise utterances, in order; the audio of a speaker is read when it is that one's turn.

        Args:
            utterances: Of any sampling rate, channel count and common format.
            num_best: Most alternatives of an utterance.
            with_times: Whether to find the times of the words.
            search_path: Where a user's frontend lies.
            with_confidences: Whether to compare the words with all that the lattice holds; with times always.

        Raises:
            ModelError: Times are asked for and the recogniser lacks its lexicon or HMM.
            LanguageModelError: The ARPA file holds all that an utterance may have been for impossible.
        """
        aligner = recogniser_aligner(self._recogniser) if with_times else None
        for utt_id, scores in self._recogniser.log_likelihoods(utterances, search_path, in_turn=True):
            yield utt_id, self._transcription(utt_id, scores, num_best, aligner, with_confidences)

    def _transcription(
        self,
        utt_id: str,
        scores: NDArray[np.float32],
        num_best: int,
        aligner: Aligner | None,
        with_confidences: bool,
    ) -> Transcription:
        search = self._recogniser.search
        lattice = decode_lattice(self._graph, scores, search, self._lattice).lattice
        if lattice is None:
            return Transcription([], [], None if aligner is None else [])
        candidates, lattice = self._candidates(lattice, num_best)
        words = candidates[0].words
        confidences = lattice.confidences(words) if with_confidences or aligner is not None else []
        timed = None
        if aligner is not None:
            scaled = scores * np.float32(search.acoustic_scale)
            timed = self._timed(utt_id, words, scaled, confidences, aligner)
        alternatives = [
            Alternative(*each, grammar_cost(self._lm, each.words)) for each in candidates[:num_best]
        ]
        return Transcription(alternatives, confidences, timed)

    def _candidates(self, lattice: WordLattice, num_best: int) -> tuple[list[Candidate], WordLattice]:
        """Return the candidates and the lattice that gives their posteriors."""
        if self._rescorer is None:
            return lattice.nbest(num_best), lattice
        rescored = self._rescorer.rescore(lattice.nbest(max(num_best, _NUM_RESCORED)))
        return rescored, WordLattice.of_candidates(rescored)

    def _timed(
        self,
        utt_id: str,
        words: Sequence[str],
        scaled: NDArray[np.float32],
        confidences: Sequence[float],
        aligner: Aligner,
    ) -> list[TimedWord] | None:
        shift = self._recogniser.system.models[0].card.frontend.frame_shift
        try:
            times = word_times(aligner, utt_id, words, scaled)
        except AlignmentError:  # the recording breaks off within a word
            return None
        return [
            TimedWord(word, start * shift, num_frames * shift, confidence)
            for (word, start, num_frames), confidence in zip(times, confidences, strict=True)
        ]


def recogniser_aligner(recogniser: Recogniser) -> Aligner:
    """Return what aligns words with a recogniser's scores.

    Raises:
        ModelError: The recogniser lacks its lexicon or HMM.
    """
    lexicon = read_lexicon(_part(recogniser, LEXICON_FILE))
    hmm = Hmm.load(_part(recogniser, HMM_FILE))
    return Aligner(lexicon, hmm, AlignmentConfig(beam=_BEAM, retry_beam=_RETRY_BEAM))


def _part(recogniser: Recogniser, name: str) -> Path:
    path = recogniser.graph / name
    if not path.is_file():
        raise ModelError(
            "the recogniser was written before it kept this file",
            where=path,
            hint="run the recipe's decode stage again",
        )
    return path
