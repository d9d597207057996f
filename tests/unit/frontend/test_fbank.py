"""The log-mel filterbank against Kaldi's definition, torchaudio's own framing and hand-worked values."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from asr_kd.errors import FrontendError
from asr_kd.frontend.base import BatchFrontend, load_frontend
from asr_kd.frontend.torchaudio_fbank import TorchaudioFbank, kaldi_compliance

_FLOOR = -15.942385  # ln 2^-23


def _noise(num_samples: int, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(num_samples)).astype(np.float32)


def _mel(hertz: np.ndarray | float) -> np.ndarray:
    return 1127 * np.log(1 + np.asarray(hertz) / 700)


def _kaldi_frame(window_400: np.ndarray) -> np.ndarray:
    """Return 40 log-mels of one window of 400 samples at 16 kHz, from Kaldi's definition, in float64."""
    x = window_400.astype(np.float64) * 32768
    x = x - x.mean()
    x = x - 0.97 * np.concatenate([x[:1], x[:-1]])
    x = x * (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 399)) ** 0.85
    power = np.abs(np.fft.fft(x, 512)[:256]) ** 2
    edges = np.linspace(_mel(20), _mel(8000), 42)
    mel = _mel(np.arange(256) * 16000 / 512)
    energies = []
    for left, centre, right in zip(edges, edges[1:], edges[2:], strict=False):
        weight = np.minimum((mel - left) / (centre - left), (right - mel) / (right - centre))
        energies.append((np.maximum(weight, 0) * power).sum())
    return np.log(np.maximum(energies, 2.0**-23))


def test_a_frame_is_what_kaldi_defines() -> None:
    samples = _noise(16000)
    features = TorchaudioFbank().extract(samples, 16000)
    for frame in (2, 50, 97):
        start = 160 * frame - 120
        expected = _kaldi_frame(samples[start : start + 400])
        np.testing.assert_allclose(features[frame], expected, atol=1e-3)


@pytest.mark.parametrize("num_samples", [400, 16000, 16079, 16080, 40_123])
def test_frames_are_torchaudios_own_without_snipped_edges(num_samples: int) -> None:
    samples = _noise(num_samples, seed=num_samples)
    expected = kaldi_compliance().fbank(
        torch.from_numpy(samples)[None] * 32768, num_mel_bins=40, snip_edges=False, dither=0.0
    )
    features = TorchaudioFbank().extract(samples, 16000)
    assert features.shape == expected.shape
    np.testing.assert_allclose(features, expected.numpy(), atol=1e-4)


@pytest.mark.parametrize("rate", [8000, 32000])
def test_other_rates_agree_with_torchaudio_too(rate: int) -> None:
    samples = _noise(rate)
    expected = kaldi_compliance().fbank(
        torch.from_numpy(samples)[None] * 32768, num_mel_bins=23, sample_frequency=rate, snip_edges=False
    )
    features = TorchaudioFbank(num_mel_bins=23, sampling_rate=rate).extract(samples, rate)
    np.testing.assert_allclose(features, expected.numpy(), atol=1e-4)


@pytest.mark.parametrize("band", [{"low_freq": 64.0}, {"high_freq": 7000.0}, {"high_freq": -400.0}])
def test_the_band_of_the_filters_is_torchaudios(band: dict[str, float]) -> None:
    samples = _noise(8000)
    waveform = torch.from_numpy(samples)[None] * 32768
    expected = kaldi_compliance().fbank(waveform, num_mel_bins=40, snip_edges=False, **band)
    np.testing.assert_allclose(TorchaudioFbank(**band).extract(samples, 16000), expected.numpy(), atol=1e-4)


def test_silence_is_the_logarithm_of_the_floor() -> None:
    features = TorchaudioFbank().extract(np.zeros(16000, dtype=np.float32), 16000)
    np.testing.assert_allclose(features, np.full((100, 40), _FLOOR), rtol=1e-6)


def test_twice_the_amplitude_adds_the_logarithm_of_four() -> None:
    samples = _noise(16000)
    frontend = TorchaudioFbank()
    difference = frontend.extract(2 * samples, 16000) - frontend.extract(samples, 16000)
    np.testing.assert_allclose(difference, math.log(4), atol=1e-4)


def test_a_tone_of_1000_hz_is_loudest_in_its_filter() -> None:
    # mel(1000) = 1000.0, mel(20) = 31.7, mel(8000) = 2840.0: filters 68.5 mel apart, centre b at
    # 31.7 + 68.5 (b + 1), so 1000 mel lies at b = 13.1.
    tone = (0.5 * np.sin(2 * np.pi * 1000 * np.arange(16000) / 16000)).astype(np.float32)
    features = TorchaudioFbank().extract(tone, 16000)
    assert set(features[2:-2].argmax(axis=1).tolist()) == {13}


def test_a_minute_at_22_05_khz_keeps_time() -> None:
    frontend = TorchaudioFbank(sampling_rate=22050)
    samples = np.zeros(22050 * 60, dtype=np.float32)
    samples[22050 * 59 :] = _noise(22050)  # the last second; a shift of 220 samples would be off by 13 frames
    features = frontend.extract(samples, 22050)
    assert features.shape == (6000, 40)
    loud = np.flatnonzero(features.mean(axis=1) > 0)
    assert abs(int(loud[0]) - 5900) <= 1
    assert loud[-1] == 5999


def test_long_audio_in_blocks_is_the_same_as_in_one() -> None:
    samples = _noise(16000 * 45)  # 4,500 frames, two blocks
    expected = kaldi_compliance().fbank(
        torch.from_numpy(samples)[None] * 32768, num_mel_bins=40, snip_edges=False
    )
    np.testing.assert_allclose(TorchaudioFbank().extract(samples, 16000), expected.numpy(), atol=1e-4)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("fbank", {}),
        ("mfcc", {}),
        ("fbank", {"num_mel_bins": 83, "frame_length": 0.05}),
        ("mfcc", {"num_ceps": 7}),
        ("fbank", {"num_mel_bins": 9}),
    ],
)
def test_recordings_together_give_the_bits_of_each_alone(name: str, options: dict[str, object]) -> None:
    frontend = load_frontend(name, options)
    assert isinstance(frontend, BatchFrontend)
    recordings = [_noise(length, seed=length) for length in (16000, 79, 41_003, 80, 0, 90_001, 1)]
    alone = [frontend.extract(samples, 16000) for samples in recordings]
    for order in (slice(None), slice(None, None, -1), slice(2, None, 2)):
        together = frontend.extract_batch(recordings[order], 16000)
        assert [len(each) for each in together] == [len(each) for each in alone[order]]
        assert all(map(np.array_equal, together, alone[order]))


def test_a_constant_signal_is_silence() -> None:
    features = TorchaudioFbank().extract(np.full(16000, 0.5, dtype=np.float32), 16000)
    np.testing.assert_allclose(features, np.full((100, 40), _FLOOR), rtol=1e-6)


def test_another_rate_is_refused() -> None:
    with pytest.raises(FrontendError, match="expected 16000 Hz, got 8000 Hz"):
        TorchaudioFbank().extract(_noise(8000), 8000)


@pytest.mark.parametrize(
    ("samples", "got"),
    [
        (np.zeros((2, 100), np.float32), r"float32 \[2, 100\]"),
        (np.zeros(9), r"float64 \[9\]"),
        ([0.0], "list"),
    ],
)
def test_samples_that_are_not_mono_float32_are_refused(samples: object, got: str) -> None:
    with pytest.raises(FrontendError, match=f"got {got}"):
        TorchaudioFbank().extract(samples, 16000)  # type: ignore[arg-type]  # what is refused


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_mel_bins": 3}, "num_mel_bins: Input should be greater than 3, got 3"),
        ({"num_mel_bins": "forty"}, "num_mel_bins: .*integer.*got 'forty'"),
        ({"sampling_rate": 0}, "sampling_rate: .*greater than 0"),
        ({"high_freq": 8001}, "band within 0 and 8000 Hz .*got 20 to 8001 Hz"),
        ({"low_freq": 8000}, "band within 0 and 8000 Hz"),
        ({"frame_length": 0.0001}, "shorter than two samples"),
    ],
)
def test_wrong_options_are_named_in_one_line(options: dict[str, object], message: str) -> None:
    with pytest.raises(FrontendError, match=message) as caught:
        load_frontend("fbank", options)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("fbank: wrong options: ")


def test_spec_follows_from_the_options() -> None:
    spec = TorchaudioFbank(num_mel_bins=64, sampling_rate=8000, frame_shift=0.02).spec
    assert (spec.dim, spec.sampling_rate, spec.frame_shift) == (64, 8000, 0.02)


def test_fingerprint_is_the_options_and_the_version() -> None:
    assert TorchaudioFbank().spec.fingerprint == TorchaudioFbank(num_mel_bins=40).spec.fingerprint
    changed = [
        {"num_mel_bins": 41}, {"sampling_rate": 8000}, {"frame_shift": 0.02}, {"frame_length": 0.02},
        {"low_freq": 64.0}, {"high_freq": 7000.0},
    ]  # fmt: skip
    marks = {TorchaudioFbank(**options).spec.fingerprint for options in changed}
    assert len(marks | {TorchaudioFbank().spec.fingerprint}) == len(changed) + 1


def test_a_new_version_of_the_algorithm_has_a_new_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    before = TorchaudioFbank().spec.fingerprint
    monkeypatch.setattr(TorchaudioFbank, "version", TorchaudioFbank.version + 1)
    assert TorchaudioFbank().spec.fingerprint != before
