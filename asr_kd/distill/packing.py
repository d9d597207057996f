"""Entries as bytes, in the smaller one of two layouts: bit-packed rows, or runs over frames.

An utterance is packed alone; several are unpacked together, for the cost of a call is then shared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from asr_kd.distill.bits import Array, bits_needed, pack_bits, packed_bytes, unpack_bits
from asr_kd.distill.damage import Damage
from asr_kd.distill.entries import Entries, PackedEntries
from asr_kd.distill.parts import exclusive_sums, utterance_of_each
from asr_kd.distill.runs import NUM_STREAMS, StoredRuns, pack_runs, unpack_runs
from asr_kd.distill.streams import Reader, pack_streams, read_streams

_ROWS, _RUNS = b"\0", b"\1"


def pack_entries(entries: Entries, num_frames: int, num_senones: int) -> bytes:
    """Return the entries of an utterance of T frames and an inventory of S senones as bytes."""
    rows, runs = _ROWS + _pack_rows(entries, num_frames, num_senones), _RUNS + pack_runs(entries, num_frames)
    return runs if len(runs) < len(rows) else rows


def read_entries(
    readers: Sequence[Reader], lengths: Sequence[int], num_senones: int, max_kept: int, damage: Damage
) -> PackedEntries:
    """Return the entries that :func:`pack_entries` packed, of several utterances.

    Args:
        readers: Of each utterance's bytes.
        lengths: Frames of each utterance.
        num_senones: S.
        max_kept: No frame has more entries.
        damage: Tells the device that the entries are unpacked on.

    Raises:
        ValueError: When the bytes are damaged.
    """
    rows: list[_StoredRows] = []
    runs: list[StoredRuns] = []
    first_frame = 0
    for reader, length in zip(readers, lengths, strict=True):
        layout = reader.take(1)
        if layout == _ROWS:
            rows.append(_read_rows(reader, first_frame, length, num_senones, max_kept))
        elif layout == _RUNS:
            streams = read_streams(reader, NUM_STREAMS, length * max_kept)
            runs.append(StoredRuns(first_frame, length, streams))
        else:
            raise ValueError("an unknown layout")
        first_frame += length
    parts = [_unpack_rows(rows, num_senones, damage)] if rows else []
    parts += [unpack_runs(runs, num_senones, damage)] if runs else []
    if len(parts) == 1:
        return parts[0]
    return PackedEntries(*(torch.cat([getattr(p, name) for p in parts]) for name in ("frames", "values")))


@dataclass(frozen=True)
class _StoredRows:
    """One utterance's bit-packed rows: its first frame, entries of each frame, codes, and ids as bytes."""

    first_frame: int
    counts: Array
    codes: Array
    ids: Array


def _pack_rows(entries: Entries, num_frames: int, num_senones: int) -> bytes:
    order = (entries.frames * num_senones + entries.ids).argsort()
    counts = entries.frames.bincount(minlength=num_frames)
    ids = pack_bits(entries.ids[order], bits_needed(num_senones))
    return pack_streams([counts, entries.codes[order]]) + ids


def _read_rows(reader: Reader, first_frame: int, length: int, num_senones: int, max_kept: int) -> _StoredRows:
    counts, codes = read_streams(reader, 2, length * max(1, max_kept))
    if len(counts) != length or int(counts.sum(dtype=np.int64)) != len(codes):
        raise ValueError("the numbers of frames and entries disagree")
    ids = reader.take(packed_bytes(len(codes), bits_needed(num_senones)))
    return _StoredRows(first_frame, counts, codes, np.frombuffer(ids, np.uint8))


def _unpack_rows(stored: Sequence[_StoredRows], num_senones: int, damage: Damage) -> PackedEntries:
    sizes = np.array(
        [[each.first_frame, len(each.counts), len(each.codes), len(each.ids)] for each in stored]
    )
    num_frames, num_entries = int(sizes[:, 1].sum()), int(sizes[:, 2].sum())
    first_frame, lengths, counts, num_bytes = damage.moved([sizes]).unbind(1)
    codes = damage.moved([each.codes for each in stored])
    damage.refuse(codes > 255, "an unknown level")
    utterance = utterance_of_each(counts, num_entries)
    in_row = damage.moved([each.counts for each in stored]).int()  # [T]
    frame = torch.arange(num_frames, dtype=torch.int32, device=damage.device)
    frame = frame.repeat_interleave(in_row, output_size=num_entries)  # [E], counted through these utterances
    skipped = first_frame - exclusive_sums(lengths)
    place = torch.arange(num_entries, device=damage.device) - exclusive_sums(counts).index_select(
        0, utterance
    )
    data = damage.moved([each.ids for each in stored])
    first_byte, count = (part.index_select(0, utterance) for part in (exclusive_sums(num_bytes), counts))
    ids = unpack_bits(data, first_byte, count, place, bits_needed(num_senones))
    damage.refuse(ids >= num_senones, "a senone outside the inventory")
    if damage.is_noted:
        ids.clamp_(max=num_senones - 1)
    frames = frame + skipped.index_select(0, utterance).int()
    return PackedEntries(frames, ids << 8 | (codes.int() & 0xFF))
