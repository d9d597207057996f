"""What an alignment says: phone segments, state durations, pdf counts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from asr_kd.lang.hmm import Hmm

Array = np.ndarray[Any, Any]

_LOOP_LIMITS = (0.01, 0.99)


class Segment(NamedTuple):
    """One phone of an alignment."""

    phone: str
    start_frame: int
    num_frames: int


def segments(pdf_ids: Array, hmm: Hmm) -> list[Segment]:
    """Return the phones of an alignment with their times.

    A phone that follows itself shows in the return from its last state to state 0; with one state only
    there is no such return, and the two count as one segment.

    Args:
        pdf_ids: ``[T]``.
        hmm: The model that the alignment was made with.
    """
    if len(pdf_ids) == 0:
        return []
    owner = np.array([hmm.tree.phone_and_state(pdf_id) for pdf_id in range(hmm.num_pdfs)])
    phones, states = owner[pdf_ids, 0], owner[pdf_ids, 1]  # [T], [T]
    begins = (np.diff(phones) != 0) | ((states[1:] == 0) & (states[:-1] != 0))
    starts = np.concatenate([[0], np.flatnonzero(begins) + 1])
    ends = np.concatenate([starts[1:], [len(pdf_ids)]])
    return [
        Segment(hmm.phone_set.phone(int(phones[start])), int(start), int(end - start))
        for start, end in zip(starts, ends, strict=True)
    ]


def pdf_counts(alignments: Iterable[Array], num_pdfs: int) -> Array:
    """Return how many frames each pdf has, int64 ``[S]``; frames below 0 are not counted."""
    counts = np.zeros(num_pdfs, dtype=np.int64)
    for pdf_ids in alignments:
        counts += np.bincount(pdf_ids[pdf_ids >= 0], minlength=num_pdfs)
    return counts


def visit_counts(pdf_ids: Array, num_pdfs: int) -> Array:
    """Return how many runs of equal pdf_ids each pdf has in one alignment, int64 ``[S]``."""
    starts = np.concatenate([[True], np.diff(pdf_ids) != 0])
    visits: Array = np.bincount(pdf_ids[starts], minlength=num_pdfs)
    return visits


def self_loop_probabilities(num_frames: Array, num_visits: Array) -> Array:
    """Return the self-loop probability of each pdf ``[S]`` from its frames and its visits ``[S]``.

    One staying and one leaving are added to the counts, so that a rare pdf stays near one half.

    Source: Kaldi ``TransitionModel::MleUpdate``, which floors the probabilities at 0.01 too.
    """
    probabilities: Array = np.clip((num_frames - num_visits + 1) / (num_frames + 2), *_LOOP_LIMITS)
    return probabilities


def estimated_self_loops(alignments: Iterable[Array], num_pdfs: int) -> Array:
    """Return the self-loop probability of each pdf ``[S]`` from alignments."""
    num_frames, num_visits = np.zeros((2, num_pdfs), dtype=np.int64)
    for pdf_ids in alignments:
        num_frames += np.bincount(pdf_ids, minlength=num_pdfs)
        num_visits += visit_counts(pdf_ids, num_pdfs)
    return self_loop_probabilities(num_frames, num_visits)
