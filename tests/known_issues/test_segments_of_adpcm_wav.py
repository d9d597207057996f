"""Segments of WAV in ADPCM of NMS and G.721 were called damaged, for libsndfile cannot seek in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr_kd.data.audio import audio_info, load_audio

RATE = 8000
TIME = np.arange(2 * RATE) / RATE
TONE = 0.3 * np.sin(2 * np.pi * np.cumsum(300 + 150 * np.sin(3 * TIME)) / RATE)


@pytest.mark.parametrize("coding", ["NMS_ADPCM_16", "NMS_ADPCM_24", "NMS_ADPCM_32", "G721_32"])
def test_are_those_of_the_whole_file(tmp_path: Path, coding: str) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, TONE, RATE, format="WAV", subtype=coding)
    whole = load_audio(path).samples
    assert len(whole) == audio_info(path).num_samples >= len(TONE)
    assert np.corrcoef(whole[: len(TONE)], TONE)[0, 1] > 0.97
    for start in (0, 1, 319, 320, RATE + 13, 2 * RATE - 700):
        segment = load_audio(path, start, 700).samples
        np.testing.assert_array_equal(segment, whole[start : start + 700])
        np.testing.assert_array_equal(load_audio(path.read_bytes(), start, 700).samples, segment)
