"""Where frames start and what stands beyond the signal's ends."""

from __future__ import annotations

import numpy as np
import pytest

from asr_kd.frontend.framing import batch_blocks, frame_blocks, frame_starts, window_samples
from asr_kd.units import num_frames


def test_first_frames_start_where_kaldi_has_them() -> None:
    # Centres at 80, 240, 400, 560; half a window of 400 before them.
    assert frame_starts(640, 16000, 0.01, 400).tolist() == [-120, 40, 200, 360]


def test_starts_at_22_05_khz_do_not_drift() -> None:
    # Centres at 110.25, 330.75, 551.25 samples; window 551, of which 275 stand before the centre.
    assert frame_starts(661, 22050, 0.01, 551).tolist() == [-165, 55, 276]
    starts = frame_starts(22050 * 60, 22050, 0.01, 551)
    assert len(starts) == 6000
    assert starts[-1] == 22050 * 60 - 111 - 275  # centre 1,322,889.75


def test_window_is_cut_to_whole_samples() -> None:
    assert window_samples(16000, 0.025) == 400
    assert window_samples(22050, 0.025) == 551  # 551.25
    assert window_samples(8000, 0.0256) == 204  # 204.8


def _mirrored(samples: np.ndarray, index: int) -> float:
    """Kaldi's rule for a sample outside the signal, applied until it lands inside."""
    while not 0 <= index < len(samples):
        index = -index - 1 if index < 0 else 2 * len(samples) - 1 - index
    return float(samples[index])


@pytest.mark.parametrize("num_samples", [80, 100, 161, 399, 1000])
def test_signal_is_mirrored_beyond_its_ends_however_short_it_is(num_samples: int) -> None:
    samples = np.arange(num_samples, dtype=np.float32)
    frames = np.concatenate(list(frame_blocks(samples, 16000, 0.01, 400)))
    starts = frame_starts(num_samples, 16000, 0.01, 400)
    expected = [[_mirrored(samples, start + offset) for offset in range(400)] for start in starts.tolist()]
    assert frames.tolist() == expected


def test_blocks_do_not_change_the_frames() -> None:
    samples = np.random.default_rng(0).standard_normal(16000).astype(np.float32)
    whole = np.concatenate(list(frame_blocks(samples, 16000, 0.01, 400)))
    blocks = list(frame_blocks(samples, 16000, 0.01, 400, frames_per_block=7))
    assert [len(block) for block in blocks] == [7] * 14 + [2]
    assert np.array_equal(np.concatenate(blocks), whole)


def test_frames_of_several_signals_follow_each_other_and_never_mix() -> None:
    lengths = [1000, 79, 80, 0, 1611]
    signals = [np.full(length, number, np.float32) for number, length in enumerate(lengths)]
    blocks = list(batch_blocks(signals, 16000, 0.01, 400, frames_per_block=4))
    frames = np.concatenate(blocks)
    assert [len(block) for block in blocks] == [4] * 4 + [1]
    assert frames.min(axis=1).tolist() == frames.max(axis=1).tolist() == [0] * 6 + [2] + [4] * 10


@pytest.mark.parametrize("num_samples", [0, 1, 79])
def test_less_than_half_a_shift_has_no_frames(num_samples: int) -> None:
    assert list(frame_blocks(np.ones(num_samples, dtype=np.float32), 16000, 0.01, 400)) == []


@pytest.mark.parametrize(
    ("rate", "shift", "window"), [(16000, 0.01, 99), (11025, 0.0123, 300), (8000, 0.02, 33)]
)
def test_number_of_frames_is_the_one_formula(rate: int, shift: float, window: int) -> None:
    for num_samples in range(1, 1500, 37):
        frames = list(frame_blocks(np.zeros(num_samples, dtype=np.float32), rate, shift, window))
        assert sum(map(len, frames)) == num_frames(num_samples, rate, shift)
