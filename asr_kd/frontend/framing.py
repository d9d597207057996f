"""Cut a signal into windows whose number and centres follow the one formula of ``asr_kd.units``."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from asr_kd.units import num_frames, samples_per_shift

FRAMES_PER_BLOCK = 4096
"""Frames handled at a time, so that an hour of audio needs no more memory than a minute."""


def window_samples(sampling_rate: int, frame_length: float) -> int:
    """Return the whole samples in a window of ``frame_length`` seconds (551 for 25 ms at 22.05 kHz)."""
    return math.floor(samples_per_shift(sampling_rate, frame_length))


def frame_starts(num_samples: int, sampling_rate: int, frame_shift: float, window: int) -> NDArray[np.int64]:
    """Return the first sample of each frame; the first and last ones may lie outside the signal.

    Args:
        num_samples: Length of the signal.
        sampling_rate: In Hz.
        frame_shift: In seconds; it need not be a whole number of samples.
        window: Length of the window in samples.

    Returns:
        int64 ``[T]``.

    Source: Kaldi ``FirstSampleOfFrame`` in feature-window.cc with ``--snip-edges=false``.
    """
    shift = samples_per_shift(sampling_rate, frame_shift)
    frame = np.arange(num_frames(num_samples, sampling_rate, frame_shift), dtype=np.int64)
    centre = (2 * frame + 1) * shift.numerator // (2 * shift.denominator)
    return centre - window // 2


def frame_blocks(
    samples: NDArray[np.float32],
    sampling_rate: int,
    frame_shift: float,
    window: int,
    frames_per_block: int = FRAMES_PER_BLOCK,
) -> Iterator[NDArray[np.float32]]:
    """Yield the T frames of a signal in blocks of rows; the signal is mirrored beyond its ends.

    Args:
        samples: ``[N]``.
        sampling_rate: In Hz.
        frame_shift: In seconds.
        window: Length of the window in samples.
        frames_per_block: Rows in a block; the last block may have fewer.

    Yields:
        float32 ``[B, window]``, copied.
    """
    yield from batch_blocks([samples], sampling_rate, frame_shift, window, frames_per_block)


def batch_blocks(
    recordings: Sequence[NDArray[np.float32]],
    sampling_rate: int,
    frame_shift: float,
    window: int,
    frames_per_block: int = FRAMES_PER_BLOCK,
) -> Iterator[NDArray[np.float32]]:
    """Yield the frames of many signals one after another, as :func:`frame_blocks` those of one.

    A block may hold frames of several signals, but no frame does.
    """
    padded: list[NDArray[np.float32]] = []
    starts: list[NDArray[np.int64]] = []
    end = 0  # of what is padded
    for samples in recordings:
        own = frame_starts(len(samples), sampling_rate, frame_shift, window)
        if not len(own):
            continue
        before = max(0, -int(own[0]))
        after = max(0, int(own[-1]) + window - len(samples))
        padded.append(np.pad(samples, (before, after), mode="symmetric"))
        starts.append(own + (before + end))
        end += len(padded[-1])
    if not starts:
        return
    all_starts = np.concatenate(starts)
    windows = np.lib.stride_tricks.sliding_window_view(np.concatenate(padded), window)
    for first in range(0, len(all_starts), frames_per_block):
        yield windows[all_starts[first : first + frames_per_block]]
