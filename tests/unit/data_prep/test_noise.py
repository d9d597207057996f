"""Noise of the stated kind, and mixing at the stated level."""

from __future__ import annotations

import numpy as np
import pytest

from data_prep.noise import babble_noise, mix, pink_noise, speech_level, white_noise


def band_power(samples: np.ndarray, low: float, high: float) -> float:
    power = np.abs(np.fft.rfft(samples.astype(float))) ** 2
    frequency = np.fft.rfftfreq(len(samples), 1 / 16000)
    return float(power[(frequency >= low) & (frequency < high)].sum())


def decibel(ratio: float) -> float:
    return 10 * np.log10(ratio)


def test_white_noise_is_flat_and_pink_noise_has_as_much_in_each_octave() -> None:
    white = white_noise(160000, np.random.default_rng(0))
    pink = pink_noise(160000, np.random.default_rng(0))
    for samples in (white, pink):
        assert np.mean(samples.astype(float) ** 2) == pytest.approx(1.0, rel=0.02)
    # An octave higher is twice as wide: 3 dB more of white noise, as much of pink noise.
    for low in (250, 500, 1000, 2000):
        ratios = [
            decibel(band_power(x, 2 * low, 4 * low) / band_power(x, low, 2 * low)) for x in (white, pink)
        ]
        assert ratios == pytest.approx([3.01, 0.0], abs=0.4)


@pytest.mark.parametrize("num_samples", [2, 3, 997, 1024])
def test_pink_noise_of_any_length(num_samples: int) -> None:
    assert len(pink_noise(num_samples, np.random.default_rng(0))) == num_samples


def test_babble_holds_all_talkers_at_one_level() -> None:
    time = np.arange(16000) / 16000
    talkers = [
        (level * np.sin(2 * np.pi * hertz * time)).astype(np.float32)
        for level, hertz in ((0.01, 300), (1, 900))
    ]
    babble = babble_noise(40000, np.random.default_rng(0), talkers)
    assert len(babble) == 40000
    assert np.mean(babble.astype(float) ** 2) == pytest.approx(1.0, rel=1e-3)
    assert decibel(band_power(babble, 280, 320) / band_power(babble, 880, 920)) == pytest.approx(0, abs=0.5)


def test_pauses_do_not_count_for_the_level_of_speech() -> None:
    tone = np.sqrt(2) * 0.1 * np.sin(2 * np.pi * 400 * np.arange(8000) / 16000)
    with_pauses = np.concatenate([np.zeros(16000), tone, np.zeros(16000)]).astype(np.float32)
    assert speech_level(with_pauses, 16000) == pytest.approx(0.1, rel=1e-3)


@pytest.mark.parametrize("snr_db", [0.0, 10.0, 30.0])
def test_speech_and_noise_are_mixed_at_the_stated_ratio_and_level(snr_db: float) -> None:
    speech = np.concatenate([np.zeros(4000), np.tile([0.2, -0.2], 6000)]).astype(np.float32)
    noise = white_noise(16000, np.random.default_rng(0))
    mixed = mix(speech, noise, level=0.2, snr_db=snr_db, level_db=-26.0).astype(float)
    noise_rms = np.sqrt(np.mean(mixed[:4000] ** 2))
    assert 20 * np.log10(10 ** (-26 / 20) / noise_rms) == pytest.approx(snr_db, abs=0.3)
    expected_power = 10 ** (-26 / 10) * (1 + 10 ** (-snr_db / 10))
    assert decibel(np.mean(mixed[4000:] ** 2) / expected_power) == pytest.approx(0, abs=0.2)


def test_what_would_clip_is_made_quieter() -> None:
    speech = np.array([0.0, 0.9, 0.0, -0.1] * 100, dtype=np.float32)
    mixed = mix(speech, np.zeros(400, dtype=np.float32), level=0.1, snr_db=20, level_db=0.0)
    assert np.abs(mixed).max() == pytest.approx(0.97)
