"""Kept senones of utterances, as a list of entries and as rows with padding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from asr_kd.distill.bits import Array
from asr_kd.distill.damage import Damage

PADDING = 254
"""Code of what is no entry in a row; no grid has so many levels."""


@dataclass(frozen=True)
class Entries:
    """Kept senones of one utterance, in any order and on any device; no pair of frame and id is there twice.

    Attributes:
        frames: int64 ``[E]``, from 0.
        ids: pdf_ids, int64 ``[E]``.
        codes: Quantised probabilities, integers ``[E]`` from 0 to 255.
    """

    frames: Tensor
    ids: Tensor
    codes: Tensor

    def __len__(self) -> int:
        return len(self.frames)


@dataclass(frozen=True)
class PackedEntries:
    """Entries of several utterances, with id and code in one number, which halves the work of moving them.

    Attributes:
        frames: int32 ``[E]``, from 0, through all utterances; those of one frame are in the order of their
            ids.
        values: ``256 * id + code``, int32 ``[E]``.
    """

    frames: Tensor
    values: Tensor

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def ids(self) -> Tensor:
        """pdf_ids ``[E]``."""
        return self.values >> 8

    @property
    def codes(self) -> Tensor:
        """Codes ``[E]``."""
        return self.values & 0xFF


@dataclass(frozen=True)
class Rows:
    """Entries in rows of one frame each, padded at the end.

    Attributes:
        values: ``256 * id + code``, int32 ``[T, K]``; ``PADDING`` for padding.
        counts: Entries of each frame ``[T]``.
    """

    values: Tensor
    counts: Tensor

    @property
    def ids(self) -> Tensor:
        """pdf_ids ``[T, K]``; 0 for padding."""
        return self.values >> 8

    @property
    def codes(self) -> Tensor:
        """Codes ``[T, K]``; ``PADDING`` for padding."""
        return self.values & 0xFF


def entries_in_rows(entries: PackedEntries, num_frames: int, max_kept: int, damage: Damage) -> Rows:
    """Return entries as rows of ``max_kept``, those of a row in the order that they had.

    Raises:
        ValueError: When a frame has more entries.
    """
    order, first = _sorted(entries.frames, num_frames)
    counts = first.diff()
    damage.refuse(counts > max_kept, f"a frame with more than {max_kept} senones")
    values = entries.values.index_select(0, order)
    if len(values) != num_frames * max_kept:
        columns = torch.arange(max_kept, dtype=torch.int32, device=first.device)
        places = first[:-1, None] + columns  # [T, K]
        # Behind the last entry stands the padding.
        places = places.masked_fill_(columns >= counts[:, None], len(values)).reshape(-1)
        values = functional.pad(values, (0, 1), value=PADDING).index_select(0, places)
    return Rows(values.reshape(num_frames, max_kept), counts)


def _sorted(frames: Tensor, num_frames: int) -> tuple[Tensor, Tensor]:
    """Return the indices that sort entries by frame, and where each frame begins among them ``[T + 1]``.

    Those of one frame stay in their order.
    """
    edges = torch.arange(num_frames + 1, dtype=torch.int32, device=frames.device)
    if frames.device.type != "cpu":
        ordered, order = frames.sort(stable=True)
        return order.int(), torch.searchsorted(ordered, edges, out_int32=True)
    # Frame and place in one key: numpy sorts these in less time than by its radix sort, or than torch does.
    num_bits = len(frames).bit_length()
    fits = num_frames.bit_length() + num_bits <= 32
    kind: type[np.unsignedinteger[Any]] = np.uint32 if fits else np.uint64
    keys: Array = frames.numpy().astype(kind) << kind(num_bits)
    keys |= np.arange(len(keys), dtype=kind)
    keys.sort()
    first = np.searchsorted(keys, edges.numpy().astype(kind) << kind(num_bits))
    order_in_keys = (keys & kind((1 << num_bits) - 1)).astype(np.int32)
    return torch.from_numpy(order_in_keys), torch.from_numpy(first.astype(np.int32))
