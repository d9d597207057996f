"""Background noise and mixing at a stated signal-to-noise ratio."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

NOISE_TYPES = ("white", "pink", "babble")
_FRAME_SECONDS = 0.02
_SPEECH_FLOOR_DB = 30.0
_PEAK = 0.97


def white_noise(num_samples: int, rng: np.random.Generator) -> Samples:
    """Return white noise, float32 [num_samples] of power 1."""
    return rng.standard_normal(num_samples).astype(np.float32)


def pink_noise(num_samples: int, rng: np.random.Generator) -> Samples:
    """Return noise whose power falls with 1/f, float32 [num_samples] of power 1."""
    size = 1 << (num_samples - 1).bit_length()  # a fast length: primes take many times as long
    spectrum = np.fft.rfft(rng.standard_normal(size))
    spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum)))
    spectrum[0] = 0.0
    return _unit_power(np.fft.irfft(spectrum, size)[:num_samples])


def babble_noise(num_samples: int, rng: np.random.Generator, talkers: Sequence[Samples]) -> Samples:
    """Return several talkers at once, each from a random place on, float32 [num_samples] of power 1."""
    total = np.zeros(num_samples, dtype=np.float64)
    for talker in talkers:
        start = int(rng.integers(len(talker)))
        total += np.resize(np.roll(_unit_power(talker), -start), num_samples)
    return _unit_power(total)


def speech_level(samples: Samples, sampling_rate: int) -> float:
    """Return the RMS of the frames within 30 dB of the loudest one: pauses do not count."""
    length = max(1, round(_FRAME_SECONDS * sampling_rate))
    num_frames = max(1, len(samples) // length)
    frames = np.resize(samples, (num_frames, length)).astype(np.float64)  # [T, length]
    power = np.mean(frames**2, axis=1)
    loud = power >= power.max() * 10 ** (-_SPEECH_FLOOR_DB / 10)
    return float(np.sqrt(power[loud].mean()))


def mix(speech: Samples, noise: Samples, *, level: float, snr_db: float, level_db: float) -> Samples:
    """Add noise to speech and set the level.

    Args:
        speech: float32 [N].
        noise: float32 [N] of power 1.
        level: RMS of the speech, as :func:`speech_level` measures it.
        snr_db: Level of the speech over the noise.
        level_db: Level of the speech in the result over full scale; less where it would clip.

    Returns:
        float32 [N] within full scale.
    """
    mixed = speech.astype(np.float64) + noise * (level * 10 ** (-snr_db / 20))
    gain = min(10 ** (level_db / 20) / level, _PEAK / float(np.abs(mixed).max()))
    result: Samples = (mixed * gain).astype(np.float32)
    return result


def _unit_power(samples: NDArray[np.floating]) -> Samples:
    scaled: Samples = (samples / np.sqrt(np.mean(np.square(samples, dtype=np.float64)))).astype(np.float32)
    return scaled
