"""Changes to a signal: speed, pitch, reverberation and noise."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from asr_kd.errors import AsrKdError
from asr_kd.torchaudio_compat import import_torchaudio

Samples = NDArray[np.float32]
NoiseKind = Literal["white", "pink", "given"]

_SHORTEST_PITCHED = 2048  # samples: the phase vocoder's window
_MAX_SPEED_DENOMINATOR = 100


def speed_ratio(speed: float) -> Fraction:
    """Return a speed as a ratio of small numbers."""
    return Fraction(speed).limit_denominator(_MAX_SPEED_DENOMINATOR)


def change_speed(samples: Samples, speed: float) -> Samples:
    """Return samples played at another speed, pitch and formants included, by resampling.

    Source: Ko et al. 2015, "Audio augmentation for speech recognition"; sox ``speed``.
    """
    ratio = speed_ratio(speed)
    if ratio == 1:
        return samples
    # The rates' ratio is all that matters, and small numbers keep the resampling kernel small.
    torchaudio = import_torchaudio()
    resampled = torchaudio.functional.resample(
        torch.from_numpy(np.ascontiguousarray(samples)), ratio.numerator, ratio.denominator
    )
    result: Samples = resampled.numpy()
    return result


def shift_pitch(samples: Samples, rate: int, semitones: float) -> Samples:
    """Return samples with another pitch and the same length; very short ones are left as they are."""
    if semitones == 0 or len(samples) < _SHORTEST_PITCHED:
        return samples
    from librosa.effects import pitch_shift

    shifted: Samples = pitch_shift(samples, sr=rate, n_steps=semitones)
    return shifted.astype(np.float32)


def room_response(rate: int, rt60: float, direct_to_reverb_db: float, rng: np.random.Generator) -> Samples:
    """Return a made room impulse response: the direct sound at sample 0, then noise that dies away.

    Source: Moorer 1979, "About this reverberation business" (exponentially decaying white noise).
    """
    time = np.arange(1, max(2, round(rt60 * rate))) / rate
    tail = rng.standard_normal(len(time)) * 10 ** (-3 * time / rt60)
    tail *= 10 ** (-direct_to_reverb_db / 20) / np.sqrt(np.square(tail).sum())
    return np.concatenate([[1.0], tail]).astype(np.float32)


def reverberate(samples: Samples, response: Samples) -> Samples:
    """Return samples heard in a room, at their former power, length and time."""
    torchaudio = import_torchaudio()
    wet: Samples = torchaudio.functional.fftconvolve(
        torch.from_numpy(np.ascontiguousarray(samples)), torch.from_numpy(response)
    ).numpy()[: len(samples)]
    power = _power(wet)
    return wet * np.float32(np.sqrt(_power(samples) / power)) if power > 0 else wet


def make_noise(
    kind: NoiseKind, num_samples: int, rng: np.random.Generator, noises: Sequence[Samples] = ()
) -> Samples:
    """Return noise ``[num_samples]`` of any power.

    Raises:
        AsrKdError: For kind ``given`` without recordings.
    """
    if kind == "given":
        recordings = [noise for noise in noises if len(noise)]
        if not recordings:
            raise AsrKdError(
                "noise is to be taken from recordings and there are none",
                where="augment.noise_kinds",
                hint="give some, or leave given out",
            )
        noise = recordings[int(rng.integers(len(recordings)))]
        first = int(rng.integers(len(noise)))
        return np.take(noise, np.arange(first, first + num_samples), mode="wrap")
    white = rng.standard_normal(num_samples)
    if kind == "white":
        return white.astype(np.float32)
    spectrum = np.fft.rfft(white)
    spectrum /= np.sqrt(np.maximum(np.arange(len(spectrum)), 1))  # power falls as 1 / f
    return np.fft.irfft(spectrum, n=num_samples).astype(np.float32)


def add_noise(samples: Samples, noise: Samples, snr_db: float) -> Samples:
    """Return samples with noise ``[N]`` at a ratio of their mean powers."""
    noise_power = _power(noise)
    if noise_power == 0:
        return samples
    scale = np.sqrt(_power(samples) / noise_power) * 10 ** (-snr_db / 20)
    return samples + noise * np.float32(scale)


def _power(samples: Samples) -> float:
    return float(np.mean(np.square(samples, dtype=np.float64)))
