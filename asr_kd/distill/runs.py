"""Kept senones of an utterance as runs: a senone stays for several frames, so its id is stored once.

Entries are sorted by senone and frame. A run is one senone in consecutive frames; stored are the distinct
senones, the number of runs of each, their gaps and lengths, and the codes as differences from frame to frame.
"""

from __future__ import annotations

import numpy as np

from asr_kd.distill.bits import Array
from asr_kd.distill.entries import Entries
from asr_kd.distill.streams import Reader, pack_streams, read_streams

_NUM_STREAMS = 6


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


def unpack_runs(reader: Reader, num_frames: int, max_entries: int) -> Entries:
    """Return the entries that :func:`pack_runs` packed, sorted by senone and frame.

    Raises:
        ValueError: When the bytes are damaged.
    """
    streams = read_streams(reader, _NUM_STREAMS, max_entries)
    senone_steps, runs_per_senone, gaps, lengths, first_codes, changes = streams
    runs_per_senone, lengths = runs_per_senone + 1, lengths + 1
    num_runs = len(lengths)
    num_entries = num_runs + len(changes)
    counts = [runs_per_senone.sum(dtype=np.int64), len(gaps), len(first_codes), lengths.sum(dtype=np.int64)]
    if counts != [num_runs, num_runs, num_runs, num_entries] or len(senone_steps) != len(runs_per_senone):
        raise ValueError("the numbers of runs and entries disagree")
    if num_entries == 0:
        return Entries(*(np.zeros(0, dtype=np.int32) for _ in range(3)))
    senones = (senone_steps.cumsum(dtype=np.int64) + np.arange(len(senone_steps))).astype(np.int32)
    starts = _run_starts(gaps, lengths, runs_per_senone)
    ends = lengths.cumsum(dtype=np.int64)
    first = ends - lengths  # [R]
    if int((starts + lengths).max()) > num_frames:
        raise ValueError("a run goes beyond the utterance")
    frames = np.arange(num_entries, dtype=np.int32) + np.repeat((starts - first).astype(np.int32), lengths)
    ids = np.repeat(np.repeat(senones, runs_per_senone), lengths)
    return Entries(frames, ids, _codes(first_codes, changes, first, lengths))


def _run_starts(gaps: Array, lengths: Array, runs_per_senone: Array) -> Array:
    """Return each run's first frame; gaps count from frame 0, or from one frame after the run before."""
    leads = runs_per_senone.cumsum(dtype=np.int64) - runs_per_senone  # [senones], first run of each
    advance = gaps.astype(np.int64)
    advance[1:] += lengths[:-1] + 1
    advance[leads] = gaps[leads]
    total = advance.cumsum()
    starts: Array = total - np.repeat(total[leads] - gaps[leads], runs_per_senone)
    return starts


def _codes(first_codes: Array, changes: Array, first: Array, lengths: Array) -> Array:
    """Return all codes from those that lead a run and the changes within runs, modulo 256."""
    steps = np.empty(len(first) + len(changes), dtype=np.uint8)
    is_change = np.ones(len(steps), dtype=bool)
    is_change[first] = False
    steps[is_change] = changes
    # A run's first step takes the sum from the last code of the run before it to its own first code.
    steps[first] = 0
    total = steps.cumsum(dtype=np.uint8)
    codes: Array = total + np.repeat(first_codes.astype(np.uint8) - total[first], lengths)
    return codes
