"""Deterministic augmented views of an utterance: gain, noise, reverberation, speed, pitch and SpecAugment.

View 0 is the original. What another view does follows from ``(seed, utt_id, view)`` alone, so a
teacher and a student see the same view wherever and in whatever order it is made.

All but speed keep the length and the time of every sound, so that an alignment of the original fits the
view frame by frame. A view at another speed has another number of frames, and gets the original's labels at
the same places (:func:`view_labels`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from asr_kd.data.effects import (
    NoiseKind,
    Samples,
    add_noise,
    change_speed,
    make_noise,
    reverberate,
    room_response,
    shift_pitch,
    speed_ratio,
)
from asr_kd.errors import AsrKdError
from asr_kd.fingerprint import fingerprint

_VERSION = 1


@dataclass(frozen=True)
class SpecAugmentConfig:
    """How much of the features is masked.

    Attributes:
        num_freq_masks: Bands of feature values masked.
        max_freq_width: Widest band.
        num_time_masks: Stretches of frames masked.
        max_time_width: Longest stretch in frames.
        max_time_share: Longest stretch as a share of the utterance.

    Source: Park et al. 2019, "SpecAugment", without time warping.
    """

    num_freq_masks: int = 2
    max_freq_width: int = 8
    num_time_masks: int = 2
    max_time_width: int = 20
    max_time_share: float = 0.2


@dataclass(frozen=True)
class AugmentConfig:
    """From which ranges the views of a corpus are drawn, all uniformly.

    Attributes:
        seed: Of all views.
        gain_db: Lowest and highest gain.
        noise_probability: Share of views with noise.
        noise_kinds: From which one is drawn; ``given`` stands for the recordings given to :func:`augment`.
        noise_set: Name or checksum of those recordings; part of the fingerprint.
        snr_db: Lowest and highest ratio of the speech's to the noise's power.
        reverb_probability: Share of views with reverberation.
        rt60: Shortest and longest time in seconds in which the made room's sound falls by 60 dB.
        direct_to_reverb_db: Ratio of the direct sound's energy to that of the rest.
        speeds: From which one is drawn; any but 1 changes the number of frames.
        pitch_semitones: Largest shift of the pitch up or down; the length stays.
        spec_augment: How much of a view's features is masked, by :func:`mask_view`; None for nothing.
    """

    seed: int = 0
    gain_db: tuple[float, float] = (-6.0, 6.0)
    noise_probability: float = 0.8
    noise_kinds: tuple[NoiseKind, ...] = ("white", "pink")
    noise_set: str = ""
    snr_db: tuple[float, float] = (10.0, 30.0)
    reverb_probability: float = 0.3
    rt60: tuple[float, float] = (0.1, 0.5)
    direct_to_reverb_db: tuple[float, float] = (0.0, 12.0)
    speeds: tuple[float, ...] = (1.0,)
    pitch_semitones: float = 0.0
    spec_augment: SpecAugmentConfig | None = None

    def __post_init__(self) -> None:
        for name in ("gain_db", "snr_db", "rt60", "direct_to_reverb_db"):
            low, high = getattr(self, name)
            _require(low <= high, name, "a lower and an upper bound", (low, high))
        for name in ("noise_probability", "reverb_probability"):
            _require(0 <= getattr(self, name) <= 1, name, "a share from 0 to 1", getattr(self, name))
        kinds = get_args(NoiseKind)
        known = bool(self.noise_kinds) and set(self.noise_kinds) <= set(kinds)
        _require(known, "noise_kinds", f"some of {', '.join(kinds)}", self.noise_kinds)
        _require(self.rt60[0] > 0, "rt60", "seconds above 0", self.rt60)
        good_speeds = bool(self.speeds) and all(
            0.5 <= speed <= 2 and abs(speed_ratio(speed) - speed) < 1e-9 for speed in self.speeds
        )
        _require(good_speeds, "speeds", "factors from 0.5 to 2 with two decimals at most", self.speeds)
        _require(0 <= self.pitch_semitones <= 12, "pitch_semitones", "0 to 12", self.pitch_semitones)

    @property
    def fingerprint(self) -> str:
        """Changes with everything that changes a view."""
        return fingerprint([asdict(self), _VERSION])


def _require(good: bool, name: str, expected: str, got: object) -> None:
    if not good:
        raise AsrKdError("cannot be used", where=f"augment.{name}", expected=expected, got=got)


@dataclass(frozen=True)
class ViewPlan:
    """What one view does to its utterance.

    Attributes:
        gain_db: Gain.
        speed: Above 1 is faster and shorter.
        semitones: Shift of the pitch.
        rt60: Reverberation time in seconds; None for none.
        direct_to_reverb_db: Ratio of the direct sound's energy to that of the rest.
        noise_kind: None for no noise.
        snr_db: Ratio of the speech's to the noise's power.
        noise_seed: Fixes the samples of noise and room.
    """

    gain_db: float = 0.0
    speed: float = 1.0
    semitones: float = 0.0
    rt60: float | None = None
    direct_to_reverb_db: float = 0.0
    noise_kind: NoiseKind | None = None
    snr_db: float = 0.0
    noise_seed: int = field(default=0, repr=False)

    def num_samples(self, num_samples: int) -> int:
        """Return the view's length in samples, from the original's."""
        ratio = speed_ratio(self.speed)
        return -(-num_samples * ratio.denominator // ratio.numerator)


def view_labels(labels: NDArray[Any], num_frames: int) -> NDArray[Any]:
    """Return an utterance's labels at the frames of one of its views.

    A view of another speed is stretched evenly, so a frame's label is that of the original's frame in the
    same place. Kaldi aligns sped copies anew (``utils/data/perturb_data_dir_speed.sh``, then
    ``steps/align_fmllr.sh``); as the one differs from the other by half a frame at most, that is not needed.

    Args:
        labels: ``[T, ...]``, one a frame of the original.
        num_frames: Frames V of the view.

    Returns:
        ``[V, ...]``; the labels themselves where V is T.
    """
    places = (np.arange(num_frames) + 0.5) * (len(labels) / max(num_frames, 1))
    return labels[places.astype(np.int64)]


def view_seed(utt_id: str, view: int, seed: int) -> int:
    """Return the random seed of a view, below 2^128."""
    key = f"{seed}\0{utt_id}\0{view}".encode()
    return int.from_bytes(hashlib.sha256(key).digest()[:16], "big")


def plan_view(utt_id: str, view: int, config: AugmentConfig) -> ViewPlan:
    """Return what a view does; view 0 does nothing."""
    _require(view >= 0, "view", "a number of at least 0", view)
    if view == 0:
        return ViewPlan()
    rng = np.random.default_rng(view_seed(utt_id, view, config.seed))
    # Every value is drawn, used or not, so that one setting does not change what the others draw.
    gain, snr, rt60, direct = (
        float(rng.uniform(*bounds))
        for bounds in (config.gain_db, config.snr_db, config.rt60, config.direct_to_reverb_db)
    )
    noisy, reverberant = rng.random() < config.noise_probability, rng.random() < config.reverb_probability
    kind = config.noise_kinds[int(rng.random() * len(config.noise_kinds))]
    speed = config.speeds[int(rng.random() * len(config.speeds))]
    semitones = config.pitch_semitones * float(rng.uniform(-1, 1))
    return ViewPlan(
        gain_db=gain,
        speed=speed,
        semitones=semitones,
        rt60=rt60 if reverberant else None,
        direct_to_reverb_db=direct,
        noise_kind=kind if noisy else None,
        snr_db=snr,
        noise_seed=int(rng.integers(1 << 62)),
    )


def augment(
    samples: Samples,
    rate: int,
    utt_id: str,
    view: int,
    config: AugmentConfig,
    noises: Sequence[Samples] = (),
) -> Samples:
    """Return one view of an utterance.

    Args:
        samples: Mono, float32 ``[N]``, within -1 and 1; left as they are.
        rate: In Hz.
        utt_id: With ``view`` and the config's seed it fixes the result.
        view: 0 is the original.
        config: Ranges.
        noises: Recordings at the same rate, for the noise kind ``given``; they are looped.

    Returns:
        float32 ``[plan_view(utt_id, view, config).num_samples(N)]``, scaled down where it would
        leave -1 to 1. Digital silence gets no noise, for there is no speech to measure it against.

    Raises:
        AsrKdError: When noise is to be taken from recordings and there are none.
    """
    plan = plan_view(utt_id, view, config)
    if view == 0 or not len(samples):
        return samples
    return apply_plan(samples, rate, plan, noises)


def apply_plan(samples: Samples, rate: int, plan: ViewPlan, noises: Sequence[Samples] = ()) -> Samples:
    """Return samples changed as a plan says, in the order in which it happens: voice, room, noise, gain."""
    rng = np.random.default_rng(plan.noise_seed)
    result = change_speed(samples, plan.speed)
    result = shift_pitch(result, rate, plan.semitones)
    if plan.rt60 is not None:
        result = reverberate(result, room_response(rate, plan.rt60, plan.direct_to_reverb_db, rng))
    if plan.noise_kind is not None:
        noise = make_noise(plan.noise_kind, len(result), rng, noises)
        result = add_noise(result, noise, plan.snr_db)
    result = result * np.float32(10 ** (plan.gain_db / 20))
    peak = float(np.abs(result).max())
    return (result / peak if peak > 1 else result).astype(np.float32)


def mask_view(features: Tensor, utt_id: str, view: int, config: AugmentConfig) -> Tensor:
    """Return a view's features ``[T, D]``, masked when the config says so; view 0 is left as it is."""
    if view == 0 or config.spec_augment is None:
        return features
    generator = torch.Generator().manual_seed(view_seed(utt_id, view, config.seed) >> 65)
    return spec_augment(features, generator, config.spec_augment)


def spec_augment(features: Tensor, generator: torch.Generator, config: SpecAugmentConfig) -> Tensor:
    """Return features with bands and stretches set to the utterance's mean of that value.

    Args:
        features: ``[T, D]``; left as they are.
        generator: Fixes what is masked.
        config: How much is masked.

    Returns:
        ``[T, D]``.
    """
    num_frames, dim = features.shape
    masked = torch.zeros(num_frames, dim, dtype=torch.bool)
    longest = min(config.max_time_width, int(config.max_time_share * num_frames))
    for _ in range(config.num_freq_masks):
        masked[:, _stretch(dim, min(config.max_freq_width, dim), generator)] = True
    for _ in range(config.num_time_masks):
        masked[_stretch(num_frames, longest, generator)] = True
    return torch.where(masked.to(features.device), features.mean(dim=0, keepdim=True), features)


def _stretch(length: int, longest: int, generator: torch.Generator) -> slice:
    """Return a stretch of 0 to ``longest`` places, drawn uniformly, somewhere within ``length``."""
    width = int(torch.randint(longest + 1, (1,), generator=generator))
    first = int(torch.randint(length - width + 1, (1,), generator=generator))
    return slice(first, first + width)
