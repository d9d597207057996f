"""Entries as bytes, in the smaller one of two layouts: bit-packed rows, or runs over frames."""

from __future__ import annotations

import torch
from torch import Tensor

from asr_kd.distill.bits import bits_needed, byte_tensor, pack_bits, packed_bytes, unpack_bits
from asr_kd.distill.entries import Entries
from asr_kd.distill.runs import pack_runs, unpack_runs
from asr_kd.distill.streams import Reader, pack_streams, read_streams

_ROWS, _RUNS = b"\0", b"\1"


def pack_entries(entries: Entries, num_frames: int, num_senones: int) -> bytes:
    """Return the entries of an utterance of T frames and an inventory of S senones as bytes."""
    rows, runs = _ROWS + _pack_rows(entries, num_frames, num_senones), _RUNS + pack_runs(entries, num_frames)
    return runs if len(runs) < len(rows) else rows


def read_entries(reader: Reader, num_frames: int, num_senones: int, max_entries: int) -> Entries:
    """Return the entries that :func:`pack_entries` packed.

    Raises:
        ValueError: When the bytes are damaged.
    """
    layout = reader.take(1)
    if layout == _ROWS:
        entries = _read_rows(reader, num_frames, num_senones, max_entries)
    elif layout == _RUNS:
        entries = unpack_runs(reader, num_frames, max_entries)
    else:
        raise ValueError("an unknown layout")
    if len(entries) and int(entries.ids.max()) >= num_senones:
        raise ValueError("a senone outside the inventory")
    return entries


def _pack_rows(entries: Entries, num_frames: int, num_senones: int) -> bytes:
    order = torch.argsort(entries.frames.long() * num_senones + entries.ids.long())
    counts = torch.bincount(entries.frames, minlength=num_frames)
    ids = pack_bits(entries.ids[order], bits_needed(num_senones)).cpu().numpy().tobytes()
    return pack_streams([counts, entries.codes[order]]) + ids


def _read_rows(reader: Reader, num_frames: int, num_senones: int, max_entries: int) -> Entries:
    counts, codes = read_streams(reader, 2, max(num_frames, max_entries))
    if len(counts) != num_frames or int(counts.sum()) != len(codes):
        raise ValueError("the numbers of frames and entries disagree")
    width = bits_needed(num_senones)
    data = byte_tensor(reader.take(packed_bytes(len(codes), width)))
    return Entries(_frames(counts), unpack_bits(data, len(codes), width), codes)


def _frames(counts: Tensor) -> Tensor:
    return torch.arange(len(counts)).repeat_interleave(counts)
