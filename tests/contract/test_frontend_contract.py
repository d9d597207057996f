"""What holds for any frontend: those built in, with other options too, and the example of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from asr_kd.frontend.base import Frontend, compute_features, load_frontend
from asr_kd.frontend.check import check_named_frontend
from asr_kd.units import num_frames

_EXAMPLE = Path(__file__).resolve().parents[2] / "recipes" / "custom_frontend"

_FRONTENDS: dict[str, tuple[str, dict[str, Any]]] = {
    "fbank": ("fbank", {}),
    "fbank, 8 kHz": ("fbank", {"sampling_rate": 8000, "num_mel_bins": 23}),
    "fbank, 22.05 kHz": ("fbank", {"sampling_rate": 22050, "num_mel_bins": 64}),
    "fbank, 12.5 ms": ("fbank", {"frame_shift": 0.0125, "frame_length": 0.05}),
    "mfcc": ("mfcc", {}),
    "mfcc, 11.025 kHz": ("mfcc", {"sampling_rate": 11025, "num_ceps": 20}),
    "librosa": ("librosa_logmel", {}),
    "librosa, 44.1 kHz": ("librosa_logmel", {"sampling_rate": 44100, "num_mel_bins": 80}),
    "example": ("my_frontend:GammatoneEnergy", {}),
    "example, 8 kHz": ("my_frontend:GammatoneEnergy", {"sampling_rate": 8000, "num_filters": 20}),
}


@pytest.fixture(params=_FRONTENDS.values(), ids=_FRONTENDS.keys())
def named(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    chosen: tuple[str, dict[str, Any]] = request.param
    return chosen


@pytest.fixture
def frontend(named: tuple[str, dict[str, Any]]) -> Frontend:
    return load_frontend(*named, search_path=_EXAMPLE)


def _noise(num_samples: int, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(num_samples)).astype(np.float32)


def test_the_contract_check_passes(named: tuple[str, dict[str, Any]]) -> None:
    report = check_named_frontend(*named, search_path=_EXAMPLE)
    assert report.ok, report.render()


def test_every_length_around_a_second_has_the_formulas_number_of_frames(frontend: Frontend) -> None:
    rate = frontend.spec.sampling_rate
    for num_samples in range(rate, rate + 500, 41):
        features = frontend.extract(_noise(num_samples), rate)
        assert features.shape == (num_frames(num_samples, rate, frontend.spec.frame_shift), frontend.spec.dim)


def test_a_read_only_array_is_taken(frontend: Frontend) -> None:
    samples = _noise(frontend.spec.sampling_rate)
    expected = frontend.extract(samples, frontend.spec.sampling_rate)
    samples.flags.writeable = False
    assert np.array_equal(compute_features(frontend, samples, frontend.spec.sampling_rate), expected)


def test_a_sound_is_at_the_frame_of_its_time(frontend: Frontend) -> None:
    """Noise from 0.5 to 0.6 s in silence: the frames centred in it differ from those of silence."""
    rate, shift = frontend.spec.sampling_rate, frontend.spec.frame_shift
    samples = np.zeros(rate, dtype=np.float32)
    samples[rate // 2 : rate * 6 // 10] = _noise(rate)[: rate * 6 // 10 - rate // 2]
    features = frontend.extract(samples, rate)
    changed = np.abs(features - features[5]).max(axis=1) > 1e-3
    centres = (np.arange(len(features)) + 0.5) * shift
    reach = 0.04  # half of the longest window here, and a frame of deltas
    assert changed[(centres > 0.5) & (centres < 0.6)].all()
    assert not changed[(centres < 0.5 - reach) | (centres > 0.6 + reach)].any()
    heard = centres[changed]
    assert heard.mean() == pytest.approx(0.55, abs=0.6 * shift)


def test_real_speech_keeps_the_contract(frontend: Frontend, shared_data: Path) -> None:
    path = sorted((shared_data / "speechocean762" / "WAVE").glob("*/*.ogg"))[0]
    samples, rate = soundfile.read(path, dtype="float32")

    def pick(samples: np.ndarray, from_rate: int, to_rate: int) -> np.ndarray:
        times = np.arange(round(len(samples) * to_rate / from_rate)) * from_rate / to_rate
        return np.interp(times, np.arange(len(samples)), samples).astype(np.float32)

    features = compute_features(frontend, samples, rate, pick)
    assert features.shape == (num_frames(len(samples), rate, frontend.spec.frame_shift), frontend.spec.dim)
    assert features.std() > 0
