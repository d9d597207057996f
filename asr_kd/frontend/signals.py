"""Made signals on which a frontend must keep its contract."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from asr_kd.frontend.protocol import FrontendSpec, Samples
from asr_kd.units import samples_per_shift


def noise(num_samples: int, seed: int, amplitude: float = 0.1) -> Samples:
    """Return Gaussian noise ``[num_samples]``, the same for the same seed."""
    return (amplitude * np.random.default_rng(seed).standard_normal(num_samples)).astype(np.float32)


def made_signals(spec: FrontendSpec) -> list[tuple[str, Samples]]:
    """Return named signals at the frontend's rate: ordinary, silent, loud, short and at rounding edges."""
    rate = spec.sampling_rate
    shift = samples_per_shift(rate, spec.frame_shift)
    signals = [
        ("noise, 1 s", noise(rate, seed=1)),
        ("noise, 10 s", noise(10 * rate, seed=2)),
        ("digital silence, 1 s", np.zeros(rate, dtype=np.float32)),
        ("full-scale clipped noise, 1 s", np.clip(noise(rate, seed=3, amplitude=10.0), -1, 1)),
        ("one sample", noise(1, seed=4)),
        ("silence, one frame", np.zeros(math.ceil(shift), dtype=np.float32)),
    ]
    for num_shifts in (Fraction(1, 2), Fraction(3, 2), Fraction(201, 2)):
        edge = math.ceil(num_shifts * shift)
        signals += [(f"noise, {length:,} samples", noise(length, seed=length)) for length in (edge - 1, edge)]
    signals.append((f"noise, {rate + 1:,} samples", noise(rate + 1, seed=5)))
    return signals
