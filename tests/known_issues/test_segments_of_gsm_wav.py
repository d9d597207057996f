"""Segments of a WAV file in GSM 6.10 were called damaged, for libsndfile cannot seek in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr_kd.data.audio import audio_info, load_audio

RATE = 8000


@pytest.fixture
def gsm(tmp_path: Path) -> Path:
    """Two seconds of a tone that rises and falls."""
    time = np.arange(2 * RATE) / RATE
    samples = 0.3 * np.sin(2 * np.pi * np.cumsum(300 + 150 * np.sin(3 * time)) / RATE)
    path = tmp_path / "gsm.wav"
    soundfile.write(path, samples, RATE, format="WAV", subtype="GSM610")
    return path


@pytest.mark.parametrize("start", [0, 1, 319, 320, 321, RATE + 13, 2 * RATE - 800])
def test_are_those_of_the_whole_file(gsm: Path, start: int) -> None:
    whole = load_audio(gsm).samples
    assert len(whole) == audio_info(gsm).num_samples >= 2 * RATE
    assert float(np.abs(whole).max()) > 0.2
    segment = load_audio(gsm, start, 700)
    np.testing.assert_array_equal(segment.samples, whole[start : start + 700])
    np.testing.assert_array_equal(load_audio(gsm.read_bytes(), start, 700).samples, segment.samples)
