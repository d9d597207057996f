"""Forced alignment of one utterance: its transcript as a graph, searched with any scores."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import kaldifst
import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from asr_kd.errors import AlignmentError, ModelError
from asr_kd.lang.context import Triphone, triphones_of
from asr_kd.lang.expand import expand_to_states
from asr_kd.lang.hmm import Hmm
from asr_kd.lang.lexicon import Lexicon
from asr_kd.lang.phones import UTTERANCE_EDGE
from asr_kd.lang.search import viterbi_search

Array = np.ndarray[Any, Any]

_ALL_ACTIVE = 1_000_000


class AlignmentConfig(BaseModel):
    """How transcripts are searched.

    Attributes:
        silence_probability: Of silence before the first word, after each word and after the last one.
        transition_scale: Factor on the costs of the HMM's transitions. Well above the acoustic scale it
            makes states vanish in training: one that is left at once makes its own loop ever dearer.
        beam: Of the first search.
        retry_beam: Of the second search, where the first finds no path.
        max_failed_share: Share of the utterances that may fail; above it, alignment is an error. Those of dev
            and test with words that the lexicon lacks are not tried, and do not count.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    silence_probability: float = Field(default=0.5, gt=0, lt=1)
    transition_scale: float = Field(default=0.1, ge=0)
    beam: float = Field(default=10.0, gt=0)
    retry_beam: float = Field(default=40.0, gt=0)
    max_failed_share: float = Field(default=0.02, ge=0, le=1)


@dataclass(frozen=True)
class AlignmentFailure:
    """An utterance that could not be aligned, and why."""

    utt_id: str
    reason: str


def transcript_graph(
    words: Sequence[str],
    lexicon: Lexicon,
    hmm: Hmm,
    silence_probability: float = 0.5,
    transition_scale: float = 1.0,
) -> Any:
    """Return the state-level graph of a transcript: all pronunciations, optional silence around words.

    Args:
        words: At least one; all in the lexicon.
        lexicon: Gives the pronunciations and the word ids, which are the output labels.
        hmm: Gives the states.
        silence_probability: Of silence before, between and after the words.
        transition_scale: Factor on the costs of the HMM's transitions.

    Returns:
        ``StdVectorFst`` with ``pdf_id + 1`` as input labels.

    Raises:
        AlignmentError: When there are no words.
        LexiconError: For an unknown word.

    Source: Kaldi ``compile-train-graphs`` with the optional silence of ``make_lexicon_fst.py``.
    """
    if not words:
        raise AlignmentError("there are no words to align")
    fst = kaldifst.StdVectorFst()
    fst.start = fst.add_state()
    state = _add_optional_silence(fst, fst.start, hmm, silence_probability)
    for word in words:
        state = _add_word(fst, state, word, lexicon, hmm)
        state = _add_optional_silence(fst, state, hmm, silence_probability)
    fst.set_final(state, 0.0)
    return expand_to_states(fst, hmm, transition_scale)


def _add_optional_silence(fst: Any, state: int, hmm: Hmm, probability: float) -> int:
    following: int = fst.add_state()
    silence = hmm.phone_set.silence_id
    fst.add_arc(state, kaldifst.StdArc(silence, 0, -math.log(probability), following))
    fst.add_arc(state, kaldifst.StdArc(0, 0, -math.log1p(-probability), following))
    return following


def _add_word(fst: Any, state: int, word: str, lexicon: Lexicon, hmm: Hmm) -> int:
    word_id = lexicon.word_id(word)
    end: int = fst.add_state()
    for phones in lexicon.pronunciations[word]:
        source, olabel = state, word_id
        for index, phone in enumerate(phones):
            target = end if index == len(phones) - 1 else fst.add_state()
            fst.add_arc(source, kaldifst.StdArc(hmm.phone_set.phone_id(phone), olabel, 0.0, target))
            source, olabel = target, 0
    return end


def min_num_frames(words: Sequence[str], lexicon: Lexicon, hmm: Hmm) -> int:
    """Return the shortest duration of a transcript: a frame for each state of the shortest pronunciations."""
    total = 0
    for word in words:
        lexicon.word_id(word)
        total += min(
            sum(hmm.num_states(hmm.phone_set.phone_id(phone)) for phone in phones)
            for phones in lexicon.pronunciations[word]
        )
    return total


def transcript_pdf_ids(words: Sequence[str], lexicon: Lexicon, hmm: Hmm) -> Array:
    """Return the different pdfs that :func:`transcript_graph` asks for, ascending."""
    if hmm.tree.context_width == 1:
        phones = {phone for word in words for phones in lexicon.pronunciations[word] for phone in phones}
        phone_ids = {hmm.phone_set.silence_id, *(hmm.phone_set.phone_id(phone) for phone in phones)}
        return np.unique([pdf_id for phone_id in phone_ids for pdf_id in hmm.pdf_ids(phone_id)])
    triphones = _transcript_triphones(words, lexicon, hmm)
    return np.unique([pdf for left, phone, right in triphones for pdf in hmm.pdf_ids(phone, left, right)])


def _transcript_triphones(words: Sequence[str], lexicon: Lexicon, hmm: Hmm) -> set[Triphone]:
    """Return the triphones of a transcript, with silence or not between any two words."""
    silence = hmm.phone_set.silence_id
    parts = [
        [[hmm.phone_set.phone_id(phone) for phone in phones] for phones in lexicon.pronunciations[word]]
        for word in words
    ]
    edge = {UTTERANCE_EDGE, silence}
    ends = [edge, *({phones[-1] for phones in part} | {silence} for part in parts)]
    starts = [*({phones[0] for phones in part} | {silence} for part in parts[1:]), edge]
    found = {(left, silence, right) for left, right in product(set().union(*ends), set().union(*starts))}
    for part, before, after in zip(parts, ends, starts, strict=False):
        for phones in part:
            for left, right in product(before, after):
                found.update(triphones_of(phones, left, right))
    return found


def align_utterance(scores: Array, graph: Any, beam: float, retry_beam: float) -> Array | None:
    """Return the best pdf_id of each frame, int32 ``[T]``, or None when no path ends within either beam.

    Args:
        scores: Scaled log-likelihoods, float32 ``[T, S]``.
        graph: See :func:`transcript_graph`.
        beam: Of the first search.
        retry_beam: Of the second search, where the first finds no path.

    Source: Kaldi ``gmm-align-compiled``.
    """
    for width in (beam, retry_beam):
        result = viterbi_search(graph, scores, width, max_active=_ALL_ACTIVE)
        if result is not None:
            return result.pdf_ids
    return None


class Aligner:
    """Aligns utterances to their transcripts with whatever scores they come with.

    Args:
        lexicon: Pronunciations of all words.
        hmm: Phones, states and transitions.
        config: Beams and silence.
    """

    def __init__(self, lexicon: Lexicon, hmm: Hmm, config: AlignmentConfig) -> None:
        self.lexicon = lexicon
        self.hmm = hmm
        self.config = config

    def failure_before_search(
        self, utt_id: str, words: Sequence[str], num_frames: int
    ) -> AlignmentFailure | None:
        """Return why an utterance cannot be aligned whatever the scores are, or None."""
        if not words:
            return AlignmentFailure(utt_id, "its transcript is empty")
        shortest = min_num_frames(words, self.lexicon, self.hmm)
        if num_frames < shortest:
            return AlignmentFailure(
                utt_id, f"too short for its transcript: {num_frames} frames, at least {shortest} are needed"
            )
        return None

    def align(self, utt_id: str, words: Sequence[str], scores: Array) -> Array | AlignmentFailure:
        """Return the pdf_id of each frame, int32 ``[T]``, or why there is none.

        Args:
            utt_id: Named in failures.
            words: The transcript; all words are in the lexicon.
            scores: Scaled log-likelihoods, float32 ``[T, S]``.

        Raises:
            ModelError: When the scores do not fit the senones or are not numbers.
        """
        if scores.shape[1] != self.hmm.num_pdfs:
            raise ModelError(
                "scores do not fit the senone tree",
                where=utt_id,
                expected=f"{self.hmm.num_pdfs} columns",
                got=scores.shape[1],
            )
        if bool(np.isnan(scores).any()):
            raise ModelError(
                "scores hold NaN",
                where=utt_id,
                hint="the model that made them has diverged or its features are NaN",
            )
        failure = self.failure_before_search(utt_id, words, len(scores))
        if failure is not None:
            return failure
        config = self.config
        graph = transcript_graph(
            words, self.lexicon, self.hmm, config.silence_probability, config.transition_scale
        )
        pdf_ids = align_utterance(scores, graph, config.beam, config.retry_beam)
        if pdf_ids is None:
            return AlignmentFailure(utt_id, f"no path ends within a beam of {config.retry_beam:g}")
        return pdf_ids
