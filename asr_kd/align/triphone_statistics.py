"""What the frames of each state of each triphone sum to: all that a decision tree is built from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from asr_kd.lang.hmm import Hmm
from asr_kd.lang.phones import UTTERANCE_EDGE

Array = np.ndarray[Any, Any]

_FIRST_CAPACITY = 1024
NUM_KEYS = 4


@dataclass(frozen=True)
class TriphoneSums:
    """Counts and moments of triphone states; each state of each triphone stands there once.

    Attributes:
        keys: Left phone, phone, right phone (0 at an edge) and state, int32 ``[N, 4]``.
        counts: Frames, ``[N]``.
        first: Summed features, ``[N, D]``.
        second: Summed squared features, ``[N, D]``.
    """

    keys: Array
    counts: Array
    first: Array
    second: Array

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def num_triphones(self) -> int:
        """Number of triphones that were seen, whatever their states."""
        return len(np.unique(self.keys[:, :3], axis=0))


def triphone_keys(pdf_ids: Array, hmm: Hmm) -> Array:
    """Return left phone, phone, right phone and state of each frame of an alignment, int32 ``[T, 4]``.

    A phone that follows itself shows in the return from its last state to its first; with one state only
    the two count as one.

    Args:
        pdf_ids: ``[T]``, one or more.
        hmm: The model that the alignment was made with.
    """
    owner = _owners(hmm)
    phones, states = owner[pdf_ids, 0], owner[pdf_ids, 1]  # [T], [T]
    begins = (np.diff(phones) != 0) | ((states[1:] == 0) & (states[:-1] != 0))
    segment = np.concatenate([[0], np.cumsum(begins)])  # [T]
    sequence = phones[np.concatenate([[0], np.flatnonzero(begins) + 1])]  # [phones]
    padded = np.concatenate([[UTTERANCE_EDGE], sequence, [UTTERANCE_EDGE]]).astype(np.int32)
    return np.stack([padded[segment], padded[segment + 1], padded[segment + 2], states], axis=1)


@lru_cache(maxsize=4)
def _owners(hmm: Hmm) -> Array:
    """Return phone and state of each pdf, int32 ``[S, 2]``."""
    owners = [hmm.tree.phone_and_state(pdf_id) for pdf_id in range(hmm.num_pdfs)]
    return np.array(owners, dtype=np.int32)


def convert_alignment(pdf_ids: Array, source: Hmm, target: Hmm) -> Array:
    """Return an alignment in the senones of another tree for the same phones and states, int32 ``[T]``.

    Args:
        pdf_ids: ``[T]``, senones of ``source``.
        source: The model that the alignment was made with.
        target: The model whose senones are wanted.

    Source: Kaldi ``convert-ali``.
    """
    if len(pdf_ids) == 0:
        return pdf_ids.astype(np.int32)
    contexts, of_frame = np.unique(triphone_keys(pdf_ids, source), axis=0, return_inverse=True)
    senones = [target.tree.pdf_id(*context) for context in contexts.tolist()]
    return np.array(senones, dtype=np.int32)[of_frame.reshape(-1)]


class TriphoneStatistics:
    """Sums over frames; memory grows with the triphones that were seen, not with the frames.

    Args:
        dim: D.

    Source: Kaldi ``acc-tree-stats``.
    """

    def __init__(self, dim: int) -> None:
        self._row_of: dict[tuple[int, ...], int] = {}
        self._counts = np.zeros(_FIRST_CAPACITY)
        self._first = np.zeros((_FIRST_CAPACITY, dim))
        self._second = np.zeros((_FIRST_CAPACITY, dim))

    def add_frames(self, keys: Array, features: Array) -> None:
        """Add frames: keys ``[T, 4]`` and features ``[T, D]``."""
        if len(keys) == 0:
            return
        unique, group = np.unique(keys, axis=0, return_inverse=True)
        order = np.argsort(group.reshape(-1), kind="stable")
        starts = np.searchsorted(group.reshape(-1)[order], np.arange(len(unique)))
        rows = features[order].astype(np.float64)
        self.add(
            TriphoneSums(
                unique,
                np.bincount(group.reshape(-1)).astype(np.float64),
                np.add.reduceat(rows, starts, axis=0),
                np.add.reduceat(rows**2, starts, axis=0),
            )
        )

    def add(self, sums: TriphoneSums) -> None:
        """Add the sums over other frames."""
        rows = np.array(
            [self._row_of.setdefault(tuple(key), len(self._row_of)) for key in sums.keys.tolist()],
            dtype=np.int64,
        )
        self._reserve(len(self._row_of))
        self._counts[rows] += sums.counts
        self._first[rows] += sums.first
        self._second[rows] += sums.second

    def _reserve(self, num_rows: int) -> None:
        missing = num_rows - len(self._counts)
        if missing > 0:
            more = max(missing, len(self._counts))
            self._counts = np.pad(self._counts, (0, more))
            self._first = np.pad(self._first, ((0, more), (0, 0)))
            self._second = np.pad(self._second, ((0, more), (0, 0)))

    def sums(self) -> TriphoneSums:
        """Return all sums, in the order of their keys."""
        keys = np.array(list(self._row_of), dtype=np.int32).reshape(-1, NUM_KEYS)
        order = np.lexsort(keys.T[::-1])
        return TriphoneSums(keys[order], self._counts[order], self._first[order], self._second[order])
