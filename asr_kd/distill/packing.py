"""Entries as bytes, in the smaller one of two layouts: bit-packed rows, or runs over frames."""

from __future__ import annotations

import numpy as np

from asr_kd.distill.bits import bits_needed, pack_bits, packed_bytes, unpack_bits
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
    if len(entries) and not 0 <= int(entries.ids.min()) <= int(entries.ids.max()) < num_senones:
        raise ValueError("a senone outside the inventory")
    return entries


def _pack_rows(entries: Entries, num_frames: int, num_senones: int) -> bytes:
    order = np.argsort(entries.frames.astype(np.int64) * num_senones + entries.ids)
    counts = np.bincount(entries.frames, minlength=num_frames)
    ids = pack_bits(entries.ids[order], bits_needed(num_senones))
    return pack_streams([counts, entries.codes[order]]) + ids


def _read_rows(reader: Reader, num_frames: int, num_senones: int, max_entries: int) -> Entries:
    counts, codes = read_streams(reader, 2, max(num_frames, max_entries))
    if len(counts) != num_frames or int(counts.sum(dtype=np.int64)) != len(codes):
        raise ValueError("the numbers of frames and entries disagree")
    width = bits_needed(num_senones)
    ids = unpack_bits(reader.take(packed_bytes(len(codes), width)), len(codes), width)
    return Entries(np.repeat(np.arange(num_frames), counts), ids, codes)
