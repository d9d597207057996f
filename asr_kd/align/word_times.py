"""When each word of a transcript is said."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from asr_kd.align.gmm import Array
from asr_kd.align.segments import Segment, segments
from asr_kd.align.viterbi import Aligner, AlignmentFailure
from asr_kd.errors import AlignmentError
from asr_kd.lang.hmm import Hmm
from asr_kd.lang.lexicon import Lexicon


class WordTime(NamedTuple):
    """A word and its frames, silence around it left out."""

    word: str
    start_frame: int
    num_frames: int


def word_times(aligner: Aligner, utt_id: str, words: Sequence[str], scores: Array) -> list[WordTime]:
    """Return the frames of each word, by forced alignment.

    Args:
        aligner: Lexicon, HMM and beams.
        utt_id: Named in errors.
        words: What was said or recognised.
        scores: Scaled log-likelihoods, float32 ``[T, S]``.

    Raises:
        AlignmentError: The words cannot be aligned with the scores.
    """
    if not words:
        return []
    pdf_ids = aligner.align(utt_id, words, scores)
    if isinstance(pdf_ids, AlignmentFailure):
        raise AlignmentError(f"no word times: {pdf_ids.reason}", where=utt_id)
    return times_in_alignment(words, pdf_ids, aligner.lexicon, aligner.hmm, utt_id)


def times_in_alignment(
    words: Sequence[str], pdf_ids: Array, lexicon: Lexicon, hmm: Hmm, utt_id: str | None = None
) -> list[WordTime]:
    """Return the frames of each word of an alignment.

    Args:
        words: The transcript.
        pdf_ids: ``[T]``, from an alignment to it.
        lexicon: Pronunciations.
        hmm: The model that the alignment was made with; of two states a phone or more, so that a phone which
            follows itself is told from one that lasts.
        utt_id: Named in errors.

    Raises:
        AlignmentError: The alignment is not one of these words.
    """
    phones = segments(pdf_ids, hmm)
    spans = _word_spans(words, [phone.phone for phone in phones], lexicon, hmm.phone_set.silence)
    if spans is None:
        raise AlignmentError(
            "the alignment's phones are not those of its words",
            where=utt_id,
            got=" ".join(phone.phone for phone in phones),
            hint="word times need phones of two states or more",
        )
    return [
        WordTime(word, *_frames(phones[first:last])) for word, (first, last) in zip(words, spans, strict=True)
    ]


def _frames(phones: Sequence[Segment]) -> tuple[int, int]:
    start = phones[0].start_frame
    return start, phones[-1].start_frame + phones[-1].num_frames - start


def _word_spans(
    words: Sequence[str], phones: Sequence[str], lexicon: Lexicon, silence: str
) -> list[tuple[int, int]] | None:
    """Return the first phone of each word and the one after its last, or None where they do not fit.

    A search in depth, silence before words and pronunciations in their order; a place is left for good once.
    """
    goal = len(words), len(phones)
    place = 0, 0
    tried = {place}
    path = []  # the places passed, each with the ways on from it that are left
    ways = _ways_on(place, words, phones, lexicon, silence)
    while place != goal:
        following = next((way for way in ways if way not in tried), None)
        if following is not None:
            path.append((place, ways))
            place = following
            tried.add(place)
            ways = _ways_on(place, words, phones, lexicon, silence)
        elif path:
            place, ways = path.pop()
        else:
            return None
    ends = [*(passed for passed, _ in path), goal]
    return [(phone, after) for (word, phone), (next_word, after) in pairwise(ends) if next_word > word]


def _ways_on(
    place: tuple[int, int], words: Sequence[str], phones: Sequence[str], lexicon: Lexicon, silence: str
) -> Iterator[tuple[int, int]]:
    """Yield the places, each a number of words and of phones, that silence or the next word leads to."""
    word, phone = place
    if phone < len(phones) and phones[phone] == silence:
        yield word, phone + 1
    if word < len(words):
        for pronunciation in lexicon.pronunciations[words[word]]:
            after = phone + len(pronunciation)
            if tuple(phones[phone:after]) == pronunciation:
                yield word + 1, after
