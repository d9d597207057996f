"""Kept senones of an utterance as runs: a senone stays for several frames, so its id is stored once.

Entries are sorted by senone and frame. A run is one senone in consecutive frames; stored are the distinct
senones, the number of runs of each, their gaps and lengths, and the codes as differences from frame to frame.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from asr_kd.distill.bits import Array
from asr_kd.distill.entries import Entries, PackedEntries, frame_type
from asr_kd.distill.streams import pack_streams

NUM_STREAMS = 6


def pack_runs(entries: Entries, num_frames: int) -> bytes:
    """Return entries of distinct (frame, id) as bytes."""
    order = np.argsort(entries.ids.astype(np.int64) * num_frames + entries.frames)
    frames, ids, codes = (
        part[order].astype(np.int64) for part in (entries.frames, entries.ids, entries.codes)
    )
    new_senone = np.ones(len(ids), dtype=bool)
    new_senone[1:] = ids[1:] != ids[:-1]
    new_run = new_senone | (np.diff(frames, prepend=0) != 1)
    first = np.flatnonzero(new_run)  # [R], where each run begins among the entries
    lengths = np.diff(first, append=len(ids))
    starts = frames[first]
    # Frames between a run and the one of the same senone before it, or from the beginning of the utterance.
    leads_senone = new_senone[first]
    gaps = np.where(leads_senone, starts, starts - np.roll(starts + lengths, 1) - 1)
    senones = ids[first][leads_senone]
    streams = [
        np.diff(senones, prepend=-1) - 1,
        np.diff(np.flatnonzero(leads_senone), append=len(first)) - 1,
        gaps,
        lengths - 1,
        codes[first],
        (np.diff(codes, prepend=0) & 0xFF)[~new_run],
    ]
    return pack_streams(streams)


def unpack_runs(
    streams: Sequence[Sequence[Array]],
    lengths: Sequence[int],
    offsets: Sequence[int],
    num_frames: int,
    num_senones: int,
) -> PackedEntries:
    """Return the entries that :func:`pack_runs` packed, sorted by utterance, senone and frame.

    Args:
        streams: The six of each utterance.
        lengths: Frames of each utterance.
        offsets: The first frame of each utterance.
        num_frames: Of all utterances, also those that are packed otherwise.
        num_senones: S.

    Raises:
        ValueError: When the bytes are damaged.
    """
    sizes = np.array([[len(stream) for stream in each] for each in streams])  # [utterances, 6]
    steps, runs_per_senone, gaps, run_lengths, first_codes, changes = map(_joined, zip(*streams, strict=True))
    runs_per_senone = runs_per_senone.astype(np.int64) + 1
    run_lengths = run_lengths.astype(np.int64) + 1
    num_runs = sizes[:, 3]
    _check(sizes, runs_per_senone, run_lengths)
    if len(run_lengths) == 0:
        return PackedEntries(np.zeros(0, dtype=frame_type(num_frames)), np.zeros(0, dtype=np.int32))
    if first_codes.max() > 255:
        raise ValueError("an unknown level")
    senones = _restarted(steps.astype(np.int64) + 1, sizes[:, 0]) - 1
    if senones.max() >= num_senones:
        raise ValueError("a senone outside the inventory")
    starts = _run_starts(gaps, run_lengths, runs_per_senone)
    if (starts + run_lengths > np.repeat(lengths, num_runs)).any():
        raise ValueError("a run goes beyond the utterance")
    starts += np.repeat(offsets, num_runs)
    first = run_lengths.cumsum() - run_lengths  # [R], where each run begins among the entries
    # Numbers of 16 bits wrap around, and their sums are right nevertheless.
    kind = frame_type(num_frames)
    frames = np.repeat((starts - first).astype(kind), run_lengths)
    frames += np.arange(len(frames), dtype=kind)
    total = _code_sums(changes, first, len(frames))
    leading = (np.repeat(senones, runs_per_senone) << 8) | (first_codes.astype(np.uint8) - total[first])
    values = np.repeat(leading.astype("<i4"), run_lengths)
    values.view(np.uint8)[::4] += total
    return PackedEntries(frames, values)


def _joined(streams: Sequence[Array]) -> Array:
    return streams[0] if len(streams) == 1 else np.concatenate(streams)


def _check(sizes: Array, runs_per_senone: Array, run_lengths: Array) -> None:
    """Refuse streams that disagree on the numbers of senones, runs and entries of an utterance."""
    num_senones, counts, num_gaps, num_runs, num_first, num_changes = sizes.T
    agrees = (num_senones == counts) & (num_gaps == num_runs) & (num_first == num_runs)
    for values, each, sums in (
        (runs_per_senone, counts, num_runs),
        (run_lengths, num_runs, num_runs + num_changes),
    ):
        totals = np.concatenate([[0], values.cumsum()])[np.concatenate([[0], each.cumsum()])]
        agrees &= np.diff(totals) == sums
    if not agrees.all():
        raise ValueError("the numbers of runs and entries disagree")


def _restarted(steps: Array, counts: Array) -> Array:
    """Return the running sums of parts of ``counts`` numbers, each from 0."""
    total = np.concatenate([[0], steps.cumsum()])
    first = counts.cumsum() - counts
    sums: Array = total[1:] - np.repeat(total[first], counts)
    return sums


def _run_starts(gaps: Array, lengths: Array, runs_per_senone: Array) -> Array:
    """Return each run's first frame; gaps count from frame 0, or from one frame after the run before."""
    leads = runs_per_senone.cumsum() - runs_per_senone  # [senones], first run of each
    advance = gaps.astype(np.int64)
    advance[1:] += lengths[:-1] + 1
    advance[leads] = gaps[leads]
    return _restarted(advance, runs_per_senone)


def _code_sums(changes: Array, first: Array, num_entries: int) -> Array:
    """Return the running sums of changes, modulo 256, with no change where a run begins ``[E]``."""
    steps = np.zeros(num_entries, dtype=np.uint8)
    is_change = np.ones(num_entries, dtype=bool)
    is_change[first] = False
    steps[is_change] = changes
    sums: Array = steps.cumsum(dtype=np.uint8)
    return sums
