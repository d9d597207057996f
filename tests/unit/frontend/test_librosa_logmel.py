"""librosa's log-mels on our frames."""

from __future__ import annotations

import math

import librosa
import numpy as np
import pytest

from asr_kd.errors import FrontendError
from asr_kd.frontend.base import load_frontend
from asr_kd.frontend.librosa_logmel import LibrosaLogMel
from asr_kd.frontend.torchaudio_fbank import TorchaudioFbank


def _noise(num_samples: int) -> np.ndarray:
    return (0.1 * np.random.default_rng(0).standard_normal(num_samples)).astype(np.float32)


def test_frames_are_librosas_centred_ones_of_the_signal_from_half_a_shift_on() -> None:
    samples = _noise(16000)
    power = librosa.feature.melspectrogram(
        y=samples[80:], sr=16000, n_fft=512, hop_length=160, win_length=400, center=True, n_mels=40, fmin=20
    )
    features = LibrosaLogMel().extract(samples, 16000)
    assert features.shape == (100, 40)
    inner = slice(3, 97)  # at the edges librosa pads with zeros where the frames here mirror the signal
    np.testing.assert_allclose(features[inner], np.log(power.T[inner]), atol=1e-4)


def test_silence_is_the_logarithm_of_the_floor() -> None:
    features = LibrosaLogMel(power_floor=1e-6).extract(np.zeros(1600, dtype=np.float32), 16000)
    np.testing.assert_allclose(features, np.full((10, 40), math.log(1e-6)), rtol=1e-6)


def test_an_onset_is_at_the_same_frame_as_with_the_kaldi_frontend() -> None:
    samples = np.zeros(16000, dtype=np.float32)
    samples[8000:] = _noise(8000)
    onsets = []
    for frontend in (LibrosaLogMel(), TorchaudioFbank()):
        energy = frontend.extract(samples, 16000).mean(axis=1)
        onsets.append(int(np.diff(energy).argmax()))
    assert onsets[0] == onsets[1]


def test_shift_that_is_no_whole_number_of_samples() -> None:
    frontend = LibrosaLogMel(sampling_rate=22050)
    assert frontend.extract(_noise(22050 * 20), 22050).shape == (2000, 40)


def test_wrong_options_and_rates_are_refused() -> None:
    with pytest.raises(FrontendError, match=r"power_floor: .*greater than 0, got 0"):
        load_frontend("librosa_logmel", {"power_floor": 0})
    with pytest.raises(FrontendError, match="band within 0 and 8000 Hz"):
        load_frontend("librosa_logmel", {"high_freq": 9000})
    with pytest.raises(FrontendError, match="expected 16000 Hz, got 44100 Hz"):
        LibrosaLogMel().extract(_noise(100), 44100)


def test_fingerprint_is_not_that_of_the_kaldi_frontend() -> None:
    assert LibrosaLogMel().spec.fingerprint != TorchaudioFbank().spec.fingerprint
    assert LibrosaLogMel(power_floor=1e-9).spec.fingerprint != LibrosaLogMel().spec.fingerprint
