"""Kept senones of an utterance as runs: a senone stays for several frames, so its id is stored once.

Entries are sorted by senone and frame. A run is one senone in consecutive frames; stored are the distinct
senones, the number of runs of each, their gaps and lengths, and the codes as differences from frame to frame.
"""

from __future__ import annotations

import torch
from torch import Tensor

from asr_kd.distill.entries import Entries
from asr_kd.distill.streams import Reader, pack_streams, read_streams

_NUM_STREAMS = 6


def pack_runs(entries: Entries, num_frames: int) -> bytes:
    """Return entries of distinct (frame, id) as bytes."""
    order = torch.argsort(entries.ids.long() * num_frames + entries.frames.long())
    frames, ids, codes = (part.int()[order] for part in (entries.frames, entries.ids, entries.codes))
    new_senone = _changes(ids)
    new_run = new_senone | (_differences(frames) != 1)
    first = new_run.nonzero()[:, 0]  # [R], where each run begins among the entries
    lengths = torch.diff(first, append=first.new_full((1,), len(ids)))
    starts, ends = frames[first], frames[first] + lengths
    # Frames from the last run of the same senone, or from the beginning of the utterance.
    leads_senone = new_senone[first]
    gaps = torch.where(leads_senone, starts, starts - ends.roll(1) - 1)
    senones = ids[first][leads_senone]
    runs_per_senone = torch.diff(leads_senone.nonzero()[:, 0], append=first.new_full((1,), len(first)))
    changes = (_differences(codes) & 0xFF)[~new_run]
    streams = [
        _differences(senones) - 1,
        runs_per_senone - 1,
        gaps,
        lengths - 1,
        codes[first],
        changes,
    ]
    streams[0][:1] = senones[:1]
    return pack_streams(streams)


def unpack_runs(reader: Reader, num_frames: int, max_entries: int) -> Entries:
    """Return the entries that :func:`pack_runs` packed, sorted by senone and frame.

    Raises:
        ValueError: When the bytes are damaged.
    """
    senone_steps, runs_per_senone, gaps, lengths, first_codes, changes = read_streams(
        reader, _NUM_STREAMS, max_entries
    )
    runs_per_senone, lengths = runs_per_senone.long() + 1, lengths.long() + 1
    num_runs = len(lengths)
    num_entries = num_runs + len(changes)
    counts = [int(runs_per_senone.sum()), len(gaps), len(first_codes), int(lengths.sum())]
    if counts != [num_runs, num_runs, num_runs, num_entries] or len(senone_steps) != len(runs_per_senone):
        raise ValueError("the numbers of runs and entries disagree")
    senones = (senone_steps.long() + 1).cumsum(0) - 1
    starts = _run_starts(gaps.long(), lengths, runs_per_senone)
    first = lengths.cumsum(0) - lengths  # [R]
    frames = torch.arange(num_entries) + (starts - first).repeat_interleave(lengths)
    if num_entries and int(frames.max()) >= num_frames:
        raise ValueError("a run goes beyond the utterance")
    ids = senones.repeat_interleave(runs_per_senone).repeat_interleave(lengths)
    steps = torch.zeros(num_entries, dtype=torch.int64)
    is_change = torch.ones(num_entries, dtype=torch.bool)
    is_change[first] = False
    steps[is_change] = changes.long()
    total = steps.cumsum(0)
    codes = (total + (first_codes.long() - total[first]).repeat_interleave(lengths)) & 0xFF
    return Entries(frames, ids, codes)


def _run_starts(gaps: Tensor, lengths: Tensor, runs_per_senone: Tensor) -> Tensor:
    """Return each run's first frame; gaps count from frame 0, or from one frame after the run before."""
    leads = runs_per_senone.cumsum(0) - runs_per_senone  # [senones], first run of each
    follows = torch.ones_like(gaps)
    follows[leads] = 0
    advance = gaps + follows
    advance[1:] += lengths[:-1] * follows[1:]
    total = advance.cumsum(0)
    return total - (total[leads] - gaps[leads]).repeat_interleave(runs_per_senone)


def _differences(values: Tensor) -> Tensor:
    """Return each value less the one before it; the first stays."""
    return torch.diff(values, prepend=values.new_zeros(1))


def _changes(values: Tensor) -> Tensor:
    """Return where a value differs from the one before it; the first always does."""
    changed = torch.ones(len(values), dtype=torch.bool, device=values.device)
    changed[1:] = values[1:] != values[:-1]
    return changed
