"""When each word of a transcript is said."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
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
    """Return the first phone of each word and the one after its last, or None where they do not fit."""

    @cache
    def can_end(word: int, phone: int) -> bool:
        """Whether the words from here on can be the phones from here on."""
        return (word == len(words) and phone == len(phones)) or bool(choices(word, phone))

    @cache
    def choices(word: int, phone: int) -> list[tuple[int, int, bool]]:
        """Return ways on from here: word, phone, and whether a word was passed rather than silence."""
        ways = []
        if phone < len(phones) and phones[phone] == silence:
            ways.append((word, phone + 1, False))
        if word < len(words):
            for pronunciation in lexicon.pronunciations[words[word]]:
                after = phone + len(pronunciation)
                if tuple(phones[phone:after]) == pronunciation:
                    ways.append((word + 1, after, True))
        return [way for way in ways if can_end(way[0], way[1])]

    # From the last phone to the first, so that no call goes deep.
    for start in range(len(phones), -1, -1):
        for word in range(len(words), -1, -1):
            can_end(word, start)
    spans: list[tuple[int, int]] = []
    word, phone = 0, 0
    while (word, phone) != (len(words), len(phones)):
        ways = choices(word, phone)
        if not ways:
            return None
        following, after, is_word = ways[0]
        if is_word:
            spans.append((phone, after))
        word, phone = following, after
    return spans
