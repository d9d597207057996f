"""The first alignment of a flat start: every state of the transcript lasts equally long."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from asr_kd.lang.hmm import Hmm
from asr_kd.lang.lexicon import Lexicon

Array = np.ndarray[Any, Any]


def align_equal(
    utt_id: str,
    words: Sequence[str],
    num_frames: int,
    lexicon: Lexicon,
    hmm: Hmm,
    silence_probability: float = 0.5,
) -> Array | None:
    """Return an alignment that shares the frames equally among the states of a random path.

    The path takes silence around the words and one pronunciation of each at random, seeded by the
    utt_id; where it is too long, it takes no silence and the shortest pronunciations.

    Args:
        utt_id: Seeds the choice.
        words: The transcript.
        num_frames: T.
        lexicon: Pronunciations.
        hmm: States of the phones.
        silence_probability: Of silence before, between and after the words.

    Returns:
        pdf_ids, int32 ``[T]``, or None when there are too few frames for any path.

    Source: Kaldi ``align-equal-compiled``.
    """
    rng = np.random.default_rng(zlib.crc32(utt_id.encode()))
    pdf_ids = _random_path(words, lexicon, hmm, silence_probability, rng)
    if len(pdf_ids) > num_frames:
        pdf_ids = _shortest_path(words, lexicon, hmm)
    if not pdf_ids or len(pdf_ids) > num_frames:
        return None
    state_of_frame = np.arange(num_frames) * len(pdf_ids) // num_frames
    return np.array(pdf_ids, dtype=np.int32)[state_of_frame]


def _random_path(
    words: Sequence[str], lexicon: Lexicon, hmm: Hmm, silence_probability: float, rng: np.random.Generator
) -> list[int]:
    silence = hmm.pdf_ids(hmm.phone_set.silence_id)
    path = silence.copy() if rng.random() < silence_probability else []
    for word in words:
        alternatives = lexicon.pronunciations[word]
        path += _states(alternatives[int(rng.integers(len(alternatives)))], hmm)
        if rng.random() < silence_probability:
            path += silence
    return path


def _shortest_path(words: Sequence[str], lexicon: Lexicon, hmm: Hmm) -> list[int]:
    path: list[int] = []
    for word in words:
        alternatives = [_states(phones, hmm) for phones in lexicon.pronunciations[word]]
        shortest = min(alternatives, key=len)
        path += shortest
    return path


def _states(phones: Sequence[str], hmm: Hmm) -> list[int]:
    return [pdf_id for phone in phones for pdf_id in hmm.pdf_ids(hmm.phone_set.phone_id(phone))]
