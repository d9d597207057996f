"""Kept senones of utterances, as a list of entries and as rows with padding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from asr_kd.distill.bits import Array

PADDING = 254
"""Code of what is no entry in a row; no grid has so many levels."""


@dataclass(frozen=True)
class Entries:
    """Kept senones of one utterance or of several, in any order; no pair of frame and id is there twice.

    Attributes:
        frames: ``[E]``, from 0, through all utterances.
        ids: pdf_ids ``[E]``.
        codes: Quantised probabilities ``[E]``, 0 to 255.
    """

    frames: Array
    ids: Array
    codes: Array

    def __len__(self) -> int:
        return len(self.frames)


@dataclass(frozen=True)
class PackedEntries:
    """:class:`Entries` with id and code in one number, which halves the work of moving them.

    Attributes:
        frames: ``[E]``, from 0, through all utterances; those of one frame are in the order of their ids.
        values: ``256 * id + code``, int32 ``[E]``.
    """

    frames: Array
    values: Array

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def ids(self) -> Array:
        """pdf_ids ``[E]``."""
        ids: Array = self.values >> 8
        return ids

    @property
    def codes(self) -> Array:
        """Codes, uint8 ``[E]``."""
        return self.values.astype(np.uint8)

    @staticmethod
    def joined(parts: Sequence[PackedEntries]) -> PackedEntries:
        """Return the entries of several lists, of different frames each."""
        if len(parts) == 1:
            return parts[0]
        return PackedEntries(
            *(np.concatenate([getattr(p, name) for p in parts]) for name in ("frames", "values"))
        )


@dataclass(frozen=True)
class Rows:
    """Entries in rows of one frame each, padded at the end.

    Attributes:
        ids: int32 ``[T, K]``; 0 for padding.
        codes: uint8 ``[T, K]``; ``PADDING`` for padding.
        counts: Entries of each frame ``[T]``.
    """

    ids: Array
    codes: Array
    counts: Array


def frame_type(num_frames: int) -> type[np.unsignedinteger[Any]]:
    """Return the type of frame numbers; numbers of 16 bits are sorted in linear time."""
    return np.uint16 if num_frames <= 2**16 else np.uint32


def entries_in_rows(entries: PackedEntries, num_frames: int, max_kept: int) -> Rows:
    """Return entries as rows of ``max_kept``, those of a row in the order that they had.

    Raises:
        ValueError: When a frame has more entries.
    """
    counts = np.bincount(entries.frames, minlength=num_frames)
    most = int(counts.max(initial=0))
    if most > max_kept:
        raise ValueError(f"a frame with {most} senones, more than {max_kept}")
    order = np.argsort(entries.frames.astype(frame_type(num_frames), copy=False), kind="stable")
    values = entries.values.take(order)
    if len(values) != num_frames * max_kept:
        padded = np.full(num_frames * max_kept, PADDING, dtype=np.int32)
        # A row begins max_kept - counts places after the end of the entries of the one before it.
        skipped = (max_kept - counts).cumsum() - (max_kept - counts)
        padded[np.arange(len(values), dtype=np.int64) + np.repeat(skipped, counts)] = values
        values = padded
    values = values.reshape(num_frames, max_kept)
    return Rows(values >> 8, values.astype(np.uint8), counts)
