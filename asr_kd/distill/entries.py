"""Kept senones of an utterance, as a list of entries and as rows with padding."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Entries:
    """Kept senones of an utterance, in any order; no pair of frame and id is there twice.

    Attributes:
        frames: ``[E]``, from 0.
        ids: pdf_ids ``[E]``.
        codes: Quantised probabilities ``[E]``, 0 to 255.
    """

    frames: Tensor
    ids: Tensor
    codes: Tensor

    def __len__(self) -> int:
        return len(self.frames)


@dataclass(frozen=True)
class Rows:
    """The same, one row a frame.

    Attributes:
        ids: pdf_ids ``[T, K]``.
        codes: ``[T, K]``.
        kept: False where a row is padded ``[T, K]``.
    """

    ids: Tensor
    codes: Tensor
    kept: Tensor


def entries_of_rows(rows: Rows) -> Entries:
    """Return the kept entries, frame by frame."""
    frames = torch.arange(len(rows.ids), device=rows.ids.device)[:, None].expand_as(rows.ids)
    return Entries(frames[rows.kept], rows.ids[rows.kept], rows.codes[rows.kept])


def rows_of_entries(entries: Entries, num_frames: int, max_kept: int) -> Rows:
    """Return entries as rows; those of a frame keep their order and come first, id and code 0 fill up.

    Raises:
        ValueError: When a frame has more entries than ``max_kept``.
    """
    order = torch.argsort(entries.frames, stable=True)
    frames = entries.frames[order]
    counts = torch.bincount(frames, minlength=num_frames)
    if len(entries) and int(counts.max()) > max_kept:
        raise ValueError(f"a frame with {int(counts.max())} senones, more than {max_kept}")
    first = counts.cumsum(0) - counts
    place = frames * max_kept + torch.arange(len(frames), device=frames.device) - first[frames]
    shape = (num_frames, max_kept)
    ids = torch.zeros(shape, dtype=torch.int32, device=frames.device)
    codes, kept = torch.zeros_like(ids), torch.zeros_like(ids, dtype=torch.bool)
    ids.view(-1)[place] = entries.ids[order].int()
    codes.view(-1)[place] = entries.codes[order].int()
    kept.view(-1)[place] = True
    return Rows(ids, codes, kept)
