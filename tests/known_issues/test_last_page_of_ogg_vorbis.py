"""A segment that starts in the last page of an Ogg Vorbis file was read some 25 ms late: libsndfile's seek
misses there.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr_kd.data.audio import load_audio

pytestmark = pytest.mark.skipif(
    "VORBIS" not in soundfile.available_subtypes("OGG"), reason="this libsndfile was built without Vorbis"
)


def _write(path: Path, num_samples: int) -> Path:
    noise = 0.1 * np.random.default_rng(0).standard_normal(num_samples)
    with soundfile.SoundFile(path, "w", 8000, 1, "VORBIS", format="OGG") as sound:
        for first in range(0, num_samples, 10_000):  # at once, libsndfile would need much of the stack
            sound.write(noise[first : first + 10_000])
    return path


@pytest.mark.parametrize("num_samples", [58_400, 1_100_000])
def test_is_read_from_where_the_segment_starts(tmp_path: Path, num_samples: int) -> None:
    path = _write(tmp_path / "a.ogg", num_samples)
    whole = load_audio(path).samples
    for before_end in (50_000, 6000, 3000, 500, 20):
        start = num_samples - before_end
        segment = load_audio(path, start, 20).samples
        np.testing.assert_array_equal(segment, whole[start : start + 20])
