"""Phones with times or frames become one senone a frame."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from asr_kd.align.alignment_files import PhoneRun, TimedPhone
from asr_kd.lang.hmm import Hmm
from asr_kd.lang.phones import UTTERANCE_EDGE

Array = np.ndarray[Any, Any]

MAX_FRAME_DIFFERENCE = 3
"""Kaldi leaves out frames whose window would reach over an edge: two, of 25 ms each 10 ms."""

# Starts and durations are each rounded to 0.01 s, so that an end lies up to 0.015 s behind the next start.
_OVERLAP_SECONDS = 0.0151


def runs_of_times(
    times: Sequence[TimedPhone], num_frames: int, frame_shift: float, silence: str = ""
) -> list[PhoneRun] | str:
    """Return phones with the frames whose middle they cover; what no phone covers is silence.

    Args:
        times: In order.
        num_frames: T.
        frame_shift: In seconds.
        silence: Name of what no phone covers.

    Returns:
        The runs, T frames in all, or why there are none.
    """
    length = num_frames * frame_shift
    runs: list[PhoneRun] = []
    end_frame, end_time = 0, 0.0
    for phone, start, end in times:
        if start < end_time - _OVERLAP_SECONDS:
            return f'phones overlap: "{phone}" starts at {start:.3f} s, before {end_time:.3f} s'
        # The number of frames is rounded, so that the last phone may end half a frame behind them.
        if end > length + frame_shift or end < start:
            return f'"{phone}" is outside the utterance: {start:.3f} to {end:.3f} of {length:.2f} s'
        first, last = (_first_frame_from(time, num_frames, frame_shift) for time in (start, end))
        first = max(first, end_frame)
        if first > end_frame:
            runs.append(PhoneRun(silence, first - end_frame))
        if last > first:
            runs.append(PhoneRun(phone, last - first))
        end_frame, end_time = max(last, first), end
    if end_frame < num_frames:
        runs.append(PhoneRun(silence, num_frames - end_frame))
    return runs


def _first_frame_from(time: float, num_frames: int, frame_shift: float) -> int:
    """Return the first frame whose middle is not before a time."""
    return min(max(math.ceil(time / frame_shift - 0.5 - 1e-6), 0), num_frames)


def fitted_runs(runs: Sequence[PhoneRun], num_frames: int) -> list[PhoneRun] | str:
    """Return runs of T frames in all: the outer phones take up a few that are missing or too many."""
    total = sum(run.num_frames for run in runs)
    missing = num_frames - total
    if abs(missing) > MAX_FRAME_DIFFERENCE or total == 0:
        return frames_differ(total, num_frames)
    phones = [index for index, run in enumerate(runs) for _ in range(run.num_frames)]
    front = missing // 2 if missing > 0 else 0
    phones = [*phones[:1] * front, *phones, *phones[-1:] * max(missing - front, 0)][:num_frames]
    counts = np.bincount(phones, minlength=len(runs)).tolist()
    return [PhoneRun(run.phone, count) for run, count in zip(runs, counts, strict=True) if count]


def frames_differ(got: int, num_frames: int, where: str | None = None) -> str:
    """Return why an alignment of another length is not taken."""
    place = f" ({where})" if where else ""
    return f"{got} frames for audio of {num_frames}; is it of this audio, at this frame shift?{place}"


def states_of_runs(runs: Sequence[tuple[int, int]], hmm: Hmm) -> Array:
    """Return pdf_ids int32 ``[T]``: a phone's frames shared out equally among its states, in its context.

    Args:
        runs: Phone ids and numbers of frames; silence beside silence is one.
        hmm: Gives the states.
    """
    silence = hmm.phone_set.silence_id
    merged: list[list[int]] = []
    for phone, count in runs:
        if merged and phone == silence == merged[-1][0]:
            merged[-1][1] += count
        else:
            merged.append([phone, count])
    phones = [UTTERANCE_EDGE, *(phone for phone, _ in merged), UTTERANCE_EDGE]
    parts = []
    for index, (phone, count) in enumerate(merged):
        states = np.array(hmm.pdf_ids(phone, phones[index], phones[index + 2]), dtype=np.int32)
        parts.append(states[np.arange(count) * len(states) // count])
    return np.concatenate(parts)
