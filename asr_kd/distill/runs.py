"""Kept senones of an utterance as runs: a senone stays for several frames, so its id is stored once.

Entries are sorted by senone and frame. A run is one senone in consecutive frames; stored are the distinct
senones, the number of runs of each, their gaps and lengths, and the codes as differences from frame to frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from asr_kd.distill.bits import Array
from asr_kd.distill.damage import Damage
from asr_kd.distill.entries import Entries, PackedEntries
from asr_kd.distill.parts import exclusive_sums, part_of_each, restarted_sums, utterance_of_each
from asr_kd.distill.streams import pack_streams

NUM_STREAMS = 6


def pack_runs(entries: Entries, num_frames: int) -> bytes:
    """Return entries of distinct (frame, id) as bytes."""
    order = (entries.ids * num_frames + entries.frames).argsort()
    frames, ids, codes = (part[order] for part in (entries.frames, entries.ids, entries.codes))
    new_senone = torch.ones_like(ids, dtype=torch.bool)
    new_senone[1:] = ids[1:] != ids[:-1]
    new_run = new_senone | (_steps(frames) != 1)
    first = new_run.nonzero()[:, 0]  # [R], where each run begins among the entries
    lengths = _lengths(first, len(ids))
    starts = frames[first]
    # Frames between a run and the one of the same senone before it, or from the beginning of the utterance.
    leads_senone = new_senone[first]
    gaps = torch.where(leads_senone, starts, starts - (starts + lengths).roll(1) - 1)
    streams = [
        _steps(ids[first][leads_senone], -1) - 1,
        _lengths(leads_senone.nonzero()[:, 0], len(first)) - 1,
        gaps,
        lengths - 1,
        codes[first],
        (_steps(codes) & 0xFF)[~new_run],
    ]
    return pack_streams(streams)


def _steps(values: Tensor, before: int = 0) -> Tensor:
    """Return the difference of each number from the one before it."""
    return values.diff(prepend=values.new_full((1,), before))


def _lengths(first: Tensor, end: int) -> Tensor:
    """Return the lengths of parts that begin at ``first``."""
    return first.diff(append=first.new_full((1,), end))


@dataclass(frozen=True)
class StoredRuns:
    """One utterance's runs as :func:`pack_runs` packed them.

    Attributes:
        first_frame: Of the utterance, among those of all that are unpacked together.
        num_frames: Of the utterance.
        streams: The six of :func:`pack_runs`.
    """

    first_frame: int
    num_frames: int
    streams: Sequence[Array]


def unpack_runs(stored: Sequence[StoredRuns], num_senones: int, damage: Damage) -> PackedEntries:
    """Return the entries that :func:`pack_runs` packed, sorted by utterance, senone and frame.

    The streams' lengths are checked where they are read; values are checked where they are decoded.

    Args:
        stored: Of each utterance.
        num_senones: S.
        damage: Tells the device.

    Raises:
        ValueError: When the bytes are damaged.
    """
    sizes = np.array([[len(stream) for stream in each.streams] for each in stored])  # [utterances, 6]
    arrays = [np.concatenate(kind) for kind in zip(*(each.streams for each in stored), strict=True)]
    _check(sizes, arrays)
    num_runs = len(arrays[3])
    num_entries = num_runs + len(arrays[5])
    steps, more_runs, gaps, more_frames, first_codes, changes = (damage.moved([array]) for array in arrays)
    if num_runs == 0:
        return PackedEntries(gaps.int(), gaps.int())
    damage.refuse(first_codes > 255, "an unknown level")
    run_lengths = more_frames.int() + 1
    counts = damage.moved([sizes.astype(np.int32)])
    senones = _senones(steps, counts[:, 0])
    damage.refuse((senones < 0) | (senones >= num_senones), "a senone outside the inventory")
    leads = exclusive_sums(more_runs.int() + 1)  # [senones], first run of each
    senone_of_run = part_of_each(leads, num_runs)
    starts = _run_starts(gaps.int(), run_lengths, leads, senone_of_run)
    edges = damage.moved([np.array([[each.first_frame, each.num_frames] for each in stored], dtype=np.int32)])
    edges = edges.index_select(0, utterance_of_each(counts[:, 3], num_runs))  # [R, 2]
    goes_beyond = (starts < 0) | (starts + run_lengths > edges[:, 1])
    damage.refuse(goes_beyond, "a run goes beyond the utterance")
    starts += edges[:, 0]
    first = exclusive_sums(run_lengths)  # [R], where each run begins among the entries
    run = part_of_each(first, num_entries)
    place = torch.arange(num_entries, dtype=torch.int32, device=run.device)
    frames = (starts - first).index_select(0, run).add_(place)
    # A run's first entry has no change: entry e of run r has seen the first e - r changes, counted through.
    seen = functional.pad(changes.to(torch.uint8).cumsum(0, dtype=torch.uint8), (1, 0))
    base = seen.index_select(0, first - torch.arange(num_runs, dtype=torch.int32, device=run.device))
    leading = (senones.index_select(0, senone_of_run) << 8) | (first_codes.to(torch.uint8) - base)
    values = leading.index_select(0, run)
    codes = values.to(torch.uint8) + seen.index_select(0, place.sub_(run))  # modulo 256
    values = (values & ~0xFF) | codes
    if damage.is_noted:
        frames.clamp_(0, stored[-1].first_frame + stored[-1].num_frames - 1)
        values.clamp_(0, (num_senones << 8) - 1)
    return PackedEntries(frames, values)


def _check(sizes: Array, streams: Sequence[Array]) -> None:
    """Refuse streams that disagree on the numbers of senones, runs and entries of an utterance."""
    num_senones, counts, num_gaps, num_runs, num_first, num_changes = sizes.T
    agrees = (num_senones == counts) & (num_gaps == num_runs) & (num_first == num_runs)
    for more, each, sums in (
        (streams[1], counts, num_runs),
        (streams[3], num_runs, num_changes + num_runs),
    ):
        ends = each.cumsum()
        totals = [int(part.sum(dtype=np.int64)) for part in np.split(more, ends[:-1])]
        agrees &= np.array(totals) + each == sums
    if not agrees.all():
        raise ValueError("the numbers of runs and entries disagree")


def _senones(steps: Tensor, counts: Tensor) -> Tensor:
    """Return the senones of all utterances, each utterance's from the sums of its own steps."""
    return restarted_sums(steps.int() + 1, exclusive_sums(counts), utterance_of_each(counts, len(steps))) - 1


def _run_starts(gaps: Tensor, lengths: Tensor, leads: Tensor, senone_of_run: Tensor) -> Tensor:
    """Return each run's first frame; gaps count from frame 0, or from one frame after the run before."""
    advance = gaps.clone()
    advance[1:] += lengths[:-1] + 1
    advance.index_copy_(0, leads.long(), gaps.index_select(0, leads))
    return restarted_sums(advance, leads, senone_of_run)
