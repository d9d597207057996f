"""Units of time and the one formula for the number of frames."""

from __future__ import annotations

from fractions import Fraction
from typing import NewType

Seconds = NewType("Seconds", float)

FRAME_SHIFT = Seconds(0.01)


def samples_per_shift(sampling_rate: int, frame_shift: float) -> Fraction:
    """Return the frame shift in samples, exactly (220.5 for 10 ms at 22.05 kHz)."""
    return Fraction(frame_shift).limit_denominator(1_000_000) * sampling_rate


def num_frames(num_samples: int, sampling_rate: int, frame_shift: float = FRAME_SHIFT) -> int:
    """Return how many frames a recording has, whatever frontend reads it.

    The frames are centred on ``(t + 0.5) * frame_shift``; their number is the duration over the
    shift, rounded half up. It does not depend on the window's length, so that frontends with
    different windows give targets that can be joined frame by frame.

    Args:
        num_samples: Length of the recording in samples at ``sampling_rate``.
        sampling_rate: In Hz.
        frame_shift: In seconds.

    Source: Kaldi ``NumFrames`` in feature-window.cc with ``--snip-edges=false``.
    """
    if num_samples < 0 or sampling_rate <= 0 or frame_shift <= 0:
        raise ValueError(
            f"num_frames needs num_samples >= 0 and positive sampling_rate and frame_shift; "
            f"got {num_samples}, {sampling_rate}, {frame_shift}"
        )
    shifts = Fraction(num_samples) / samples_per_shift(sampling_rate, frame_shift)
    return int(shifts + Fraction(1, 2))
