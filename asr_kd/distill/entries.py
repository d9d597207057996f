"""Kept senones of an utterance, as a list of entries and as rows with padding."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from asr_kd.distill.bits import Array


@dataclass(frozen=True)
class Entries:
    """Kept senones of an utterance, in any order; no pair of frame and id is there twice.

    Attributes:
        frames: ``[E]``, from 0.
        ids: pdf_ids ``[E]``.
        codes: Quantised probabilities ``[E]``, 0 to 255.
    """

    frames: Array
    ids: Array
    codes: Array

    def __len__(self) -> int:
        return len(self.frames)


@dataclass(frozen=True)
class Places:
    """Where entries stand in rows of one frame each.

    Attributes:
        order: Entries frame by frame, those of a frame in the order that they had ``[E]``.
        flat: Their places in a flattened ``[T, K]``; those of a row come first ``[E]``.
        counts: Entries of each frame ``[T]``.
    """

    order: Array
    flat: Array
    counts: Array


def place_in_rows(frames: Array, num_frames: int, max_kept: int) -> Places:
    """Return the places of entries in rows of ``max_kept``.

    Raises:
        ValueError: When a frame has more entries.
    """
    # Sorting numbers of 16 bits takes time in proportion to their count.
    order = np.argsort(frames.astype(np.uint16) if num_frames <= 2**16 else frames, kind="stable")
    counts = np.bincount(frames, minlength=num_frames)
    most = int(counts.max(initial=0))
    if most > max_kept:
        raise ValueError(f"a frame with {most} senones, more than {max_kept}")
    # A row begins max_kept - counts places after the end of the entries of the one before it.
    skipped = (max_kept - counts).cumsum() - (max_kept - counts)
    flat = np.arange(len(frames), dtype=np.int32) + np.repeat(skipped.astype(np.int32), counts)
    return Places(order, flat, counts)
