"""Entries as bytes, in the smaller one of two layouts: bit-packed rows, or runs over frames.

An utterance is packed alone; several are unpacked together, for numpy's cost of a call is then shared.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from asr_kd.distill.bits import bits_needed, pack_bits, packed_bytes, unpack_bits
from asr_kd.distill.entries import Entries, PackedEntries, frame_type
from asr_kd.distill.runs import NUM_STREAMS, pack_runs, unpack_runs
from asr_kd.distill.streams import Reader, pack_streams, read_streams

_ROWS, _RUNS = b"\0", b"\1"


def pack_entries(entries: Entries, num_frames: int, num_senones: int) -> bytes:
    """Return the entries of an utterance of T frames and an inventory of S senones as bytes."""
    rows, runs = _ROWS + _pack_rows(entries, num_frames, num_senones), _RUNS + pack_runs(entries, num_frames)
    return runs if len(runs) < len(rows) else rows


def read_entries(
    readers: Sequence[Reader], lengths: Sequence[int], num_senones: int, max_kept: int
) -> PackedEntries:
    """Return the entries that :func:`pack_entries` packed, of several utterances.

    Args:
        readers: Of each utterance's bytes.
        lengths: Frames of each utterance.
        num_senones: S.
        max_kept: No frame has more entries.

    Raises:
        ValueError: When the bytes are damaged.
    """
    num_frames = sum(lengths)
    rows: list[PackedEntries] = []
    runs, run_lengths, run_offsets = [], [], []
    offset = 0
    for reader, length in zip(readers, lengths, strict=True):
        layout = reader.take(1)
        if layout == _ROWS:
            rows.append(_read_rows(reader, length, num_senones, max_kept, offset, num_frames))
        elif layout == _RUNS:
            runs.append(read_streams(reader, NUM_STREAMS, length * max_kept))
            run_lengths.append(length)
            run_offsets.append(offset)
        else:
            raise ValueError("an unknown layout")
        offset += length
    parts = [*rows, unpack_runs(runs, run_lengths, run_offsets, num_frames, num_senones)] if runs else rows
    return PackedEntries.joined(parts)


def _pack_rows(entries: Entries, num_frames: int, num_senones: int) -> bytes:
    order = np.argsort(entries.frames.astype(np.int64) * num_senones + entries.ids)
    counts = np.bincount(entries.frames, minlength=num_frames)
    ids = pack_bits(entries.ids[order], bits_needed(num_senones))
    return pack_streams([counts, entries.codes[order]]) + ids


def _read_rows(
    reader: Reader, length: int, num_senones: int, max_kept: int, offset: int, num_frames: int
) -> PackedEntries:
    counts, codes = read_streams(reader, 2, length * max(1, max_kept))
    if len(counts) != length or int(counts.sum(dtype=np.int64)) != len(codes):
        raise ValueError("the numbers of frames and entries disagree")
    if len(codes) and int(codes.max()) > 255:
        raise ValueError("an unknown level")
    width = bits_needed(num_senones)
    ids = unpack_bits(reader.take(packed_bytes(len(codes), width)), len(codes), width)
    if len(ids) and int(ids.max()) >= num_senones:
        raise ValueError("a senone outside the inventory")
    frames = np.repeat(np.arange(offset, offset + length, dtype=frame_type(num_frames)), counts)
    return PackedEntries(frames, ids << 8 | codes)
