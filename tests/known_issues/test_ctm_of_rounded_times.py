"""An imported CTM was refused for overlaps that come of rounding start and duration to 0.01 s each."""

from __future__ import annotations

import numpy as np

from asr_kd.align.alignment_files import TimedPhone
from asr_kd.align.phone_runs import runs_of_times


def test_is_taken() -> None:
    generator = np.random.default_rng(0)
    for _ in range(50):
        ends = np.cumsum(generator.uniform(0.04, 0.15, size=30))
        starts = [0.0, *ends[:-1]]
        times = [
            TimedPhone("A", round(start, 2), round(start, 2) + round(end - start, 2))
            for start, end in zip(starts, ends, strict=True)
        ]
        num_frames = int(ends[-1] * 100 + 0.5)
        runs = runs_of_times(times, num_frames, 0.01)
        assert not isinstance(runs, str), runs
        assert sum(run.num_frames for run in runs) == num_frames


def test_more_is_refused() -> None:
    times = [TimedPhone("A", 0.0, 0.05), TimedPhone("T", 0.03, 0.08)]
    assert runs_of_times(times, 8, 0.01) == 'phones overlap: "T" starts at 0.030 s, before 0.050 s'
