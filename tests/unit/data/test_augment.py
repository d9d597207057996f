"""Augmented views: what they change, what they keep and that they come out the same each time."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from asr_kd.data.augment import (
    AugmentConfig,
    SpecAugmentConfig,
    ViewPlan,
    apply_plan,
    augment,
    mask_view,
    plan_view,
    spec_augment,
    view_labels,
)
from asr_kd.data.effects import add_noise, change_speed, make_noise, reverberate, room_response, shift_pitch
from asr_kd.errors import AsrKdError

_RATE = 16000
_ALL = AugmentConfig(
    noise_probability=1.0,
    reverb_probability=1.0,
    speeds=(0.9, 1.0, 1.1),
    pitch_semitones=2.0,
)


def _tone(hertz: float, num_samples: int = _RATE, amplitude: float = 0.3) -> np.ndarray:
    return (amplitude * np.sin(2 * np.pi * hertz * np.arange(num_samples) / _RATE)).astype(np.float32)


def _peak_hertz(samples: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(spectrum.argmax()) * _RATE / len(samples)


def _db(ratio: float) -> float:
    return 10 * float(np.log10(ratio))


def _power(samples: np.ndarray) -> float:
    return float(np.mean(samples.astype(np.float64) ** 2))


def test_view_0_is_the_original() -> None:
    samples = _tone(440)
    assert np.array_equal(augment(samples, _RATE, "utt", 0, _ALL), samples)
    assert plan_view("utt", 0, _ALL) == ViewPlan()


def test_a_view_comes_out_the_same_each_time_and_leaves_its_input() -> None:
    samples = _tone(440)
    first = augment(samples, _RATE, "utt", 1, _ALL)
    assert np.array_equal(samples, _tone(440))
    assert np.array_equal(first, augment(samples, _RATE, "utt", 1, _ALL))
    assert first.dtype == np.float32


def test_views_differ_by_utterance_number_and_seed() -> None:
    plans = [
        plan_view("utt", 1, _ALL),
        plan_view("utt", 2, _ALL),
        plan_view("utt2", 1, _ALL),
        plan_view("utt", 1, replace(_ALL, seed=1)),
    ]
    assert len({plan.noise_seed for plan in plans}) == 4
    assert len({plan.gain_db for plan in plans}) == 4


def test_a_plan_is_the_same_in_a_fresh_process() -> None:
    program = (
        "from asr_kd.data.augment import AugmentConfig, plan_view\n"
        "print(plan_view('utt', 3, AugmentConfig()).noise_seed)"
    )
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=root
    )
    assert int(done.stdout) == plan_view("utt", 3, AugmentConfig()).noise_seed


def test_plans_stay_within_their_ranges_and_use_them() -> None:
    config = replace(_ALL, noise_probability=0.5, reverb_probability=0.25)
    plans = [plan_view("utt", view, config) for view in range(1, 2001)]
    for values, low, high in [
        ([plan.gain_db for plan in plans], -6, 6),
        ([plan.snr_db for plan in plans], 10, 30),
        ([plan.semitones for plan in plans], -2, 2),
        ([plan.rt60 for plan in plans if plan.rt60 is not None], 0.1, 0.5),
    ]:
        assert low <= min(values) < low + 0.1 * (high - low)
        assert high - 0.1 * (high - low) < max(values) <= high
    # 2,000 draws: three standard deviations are 67 and 58.
    assert sum(plan.noise_kind is not None for plan in plans) == pytest.approx(1000, abs=67)
    assert sum(plan.rt60 is not None for plan in plans) == pytest.approx(500, abs=58)
    assert {plan.noise_kind for plan in plans} == {None, "white", "pink"}
    assert {plan.speed for plan in plans} == {0.9, 1.0, 1.1}


def test_by_default_every_view_keeps_the_length() -> None:
    samples = _tone(440, 12_345)
    for view in range(5):
        assert len(augment(samples, _RATE, "utt", view, AugmentConfig())) == 12_345


@pytest.mark.parametrize(("speed", "expected"), [(0.9, 17_778), (1.0, 16_000), (1.1, 14_546), (1.25, 12_800)])
def test_another_speed_changes_length_and_pitch_and_the_plan_says_so(speed: float, expected: int) -> None:
    # 16,000 / 0.9 = 17,777.8 and 16,000 / 1.1 = 14,545.5, rounded up.
    plan = ViewPlan(speed=speed)
    assert plan.num_samples(_RATE) == expected
    changed = apply_plan(_tone(440), _RATE, plan)
    assert len(changed) == expected
    assert _peak_hertz(changed) == pytest.approx(440 * speed, abs=2)


@pytest.mark.parametrize(
    ("num_frames", "expected"),
    [
        (4, [5, 6, 7, 8]),
        (2, [6, 8]),  # centres at 1/4 and 3/4 of four frames: 1.0 and 3.0
        (8, [5, 5, 6, 6, 7, 7, 8, 8]),
        (5, [5, 6, 7, 7, 8]),  # centres at 0.4, 1.2, 2.0, 2.8, 3.6
        (0, []),
    ],
)
def test_labels_of_a_view_are_those_at_the_same_place(num_frames: int, expected: list[int]) -> None:
    assert view_labels(np.array([5, 6, 7, 8]), num_frames).tolist() == expected


@pytest.mark.parametrize("speed", [0.9, 1.1])
def test_labels_of_a_sped_recording_are_where_its_sound_changes(speed: float) -> None:
    """A recording is silent, then sounds: the label's edge moves with the sound's, to a frame."""
    samples = np.concatenate([np.zeros(8_000, np.float32), _tone(440, 24_000)])
    view = apply_plan(samples, _RATE, ViewPlan(speed=speed))

    def loud(audio: NDArray[np.float32]) -> NDArray[np.bool_]:
        frames = np.lib.stride_tricks.sliding_window_view(audio, 400)[::160]
        return np.asarray(np.abs(frames).max(axis=1) > 0.05)

    edge = int(view_labels(loud(samples), len(loud(view))).argmax())
    assert abs(edge - int(loud(view).argmax())) <= 1


def test_length_of_a_view_is_what_its_plan_says() -> None:
    for num_samples in (1, 2, 9, 100, 12_345):
        samples = np.ones(num_samples, np.float32)
        for view in range(1, 8):
            planned = plan_view("utt", view, _ALL).num_samples(num_samples)
            assert len(augment(samples, _RATE, "utt", view, _ALL)) == planned


def test_speed_at_an_odd_rate_needs_no_large_kernel() -> None:
    assert len(change_speed(np.zeros(11025 * 5, np.float32), 0.9)) == 61_250


def test_gain_in_db() -> None:
    louder = apply_plan(_tone(440), _RATE, ViewPlan(gain_db=6.0))
    np.testing.assert_allclose(louder, 10 ** (6 / 20) * _tone(440), rtol=1e-6)


def test_what_would_clip_is_scaled_to_full_scale() -> None:
    samples = _tone(440, amplitude=0.9)
    loud = apply_plan(samples, _RATE, ViewPlan(gain_db=6.0))
    np.testing.assert_allclose(loud, samples / np.abs(samples).max(), rtol=1e-5)


@pytest.mark.parametrize("kind", ["white", "pink", "given"])
@pytest.mark.parametrize("snr_db", [0.0, 15.0])
def test_noise_has_the_ratio_asked_for(kind: Any, snr_db: float) -> None:
    samples = _tone(440)
    noise = make_noise(kind, _RATE, np.random.default_rng(0), [_tone(3000, 4567)])
    added = add_noise(samples, noise, snr_db).astype(np.float64) - samples
    assert _db(_power(samples) / _power(added)) == pytest.approx(snr_db, abs=0.01)


def test_pink_noise_has_the_same_power_in_every_octave_and_white_noise_twice_as_much_in_the_next() -> None:
    for kind, step in (("pink", 0.0), ("white", 3.01)):
        noise = make_noise(kind, 1 << 18, np.random.default_rng(0))
        power = np.abs(np.fft.rfft(noise)) ** 2
        octaves = [power[1 << octave : 2 << octave].sum() for octave in range(11, 17)]
        np.testing.assert_allclose(10 * np.diff(np.log10(octaves)), step, atol=0.4)


def test_a_short_recording_of_noise_is_looped() -> None:
    noise = make_noise("given", 7, np.random.default_rng(0), [np.array([1, 2, 3], np.float32)])
    assert len(noise) == 7
    assert noise[:3].tolist() == noise[3:6].tolist()
    assert sorted(noise[:3].tolist()) == [1, 2, 3]


def test_noise_from_recordings_needs_recordings() -> None:
    config = AugmentConfig(noise_probability=1.0, noise_kinds=("given",))
    with pytest.raises(AsrKdError, match=r"noise_kinds: .*recordings and there are none"):
        augment(_tone(440), _RATE, "utt", 1, config)


def test_digital_silence_and_no_samples_stay_what_they_are() -> None:
    silence = np.zeros(_RATE, np.float32)
    view = augment(silence, _RATE, "utt", 1, replace(_ALL, speeds=(1.0,)))
    assert view.tolist() == silence.tolist()
    assert len(augment(np.zeros(0, np.float32), _RATE, "utt", 1, _ALL)) == 0


def test_room_has_its_direct_sound_first_and_dies_away_by_60_db() -> None:
    response = room_response(_RATE, 0.4, 6.0, np.random.default_rng(0)).astype(np.float64)
    assert response[0] == 1
    tail = response[1:]
    assert _db(1 / float(np.sum(tail**2))) == pytest.approx(6.0, abs=0.01)
    early, late = _power(tail[:640]), _power(tail[5120:5760])  # 0.32 s apart: 48 dB
    assert _db(early / late) == pytest.approx(48, abs=1.5)


def test_reverberation_keeps_power_length_and_the_time_of_the_onset() -> None:
    samples = np.zeros(_RATE, np.float32)
    samples[8000:] = _tone(440, 8000)
    wet = reverberate(samples, room_response(_RATE, 0.3, 3.0, np.random.default_rng(0)))
    assert len(wet) == _RATE
    assert _power(wet) == pytest.approx(_power(samples), rel=1e-4)
    assert np.abs(wet[:8000]).max() < 1e-5
    assert np.abs(wet[8000:8100]).max() > 0.05


@pytest.mark.parametrize("semitones", [-2.0, 4.0])
def test_pitch_changes_and_length_does_not(semitones: float) -> None:
    shifted = shift_pitch(_tone(440), _RATE, semitones)
    assert len(shifted) == _RATE
    assert _peak_hertz(shifted) == pytest.approx(440 * 2 ** (semitones / 12), rel=0.01)
    assert np.array_equal(shift_pitch(_tone(440, 500), _RATE, semitones), _tone(440, 500))


def test_fingerprint_follows_every_setting() -> None:
    changes: list[dict[str, Any]] = [
        {}, {"seed": 1}, {"gain_db": (0.0, 1.0)}, {"noise_probability": 0.1}, {"noise_kinds": ("white",)},
        {"noise_set": "x"}, {"snr_db": (5.0, 9.0)}, {"reverb_probability": 0.1}, {"rt60": (0.2, 0.3)},
        {"direct_to_reverb_db": (1.0, 2.0)}, {"speeds": (0.9,)}, {"pitch_semitones": 1.0},
        {"spec_augment": SpecAugmentConfig()},
    ]  # fmt: skip
    assert len({AugmentConfig(**change).fingerprint for change in changes}) == len(changes)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gain_db": (3.0, -3.0)}, "augment.gain_db: "),
        ({"noise_probability": 1.5}, "augment.noise_probability: .*share from 0 to 1, got 1.5"),
        ({"noise_kinds": ()}, "augment.noise_kinds: .*white, pink, given"),
        ({"noise_kinds": ("brown",)}, "augment.noise_kinds: .*got .*brown"),
        ({"rt60": (0.0, 0.1)}, "augment.rt60: "),
        ({"speeds": ()}, "augment.speeds: "),
        ({"speeds": (0.1,)}, "augment.speeds: .*0.5 to 2"),
        ({"speeds": (1.0001,)}, "augment.speeds: .*two decimals"),
        ({"pitch_semitones": -1.0}, "augment.pitch_semitones: "),
    ],
)
def test_wrong_settings_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(AsrKdError, match=message):
        AugmentConfig(**options)


def test_a_negative_view_is_refused() -> None:
    with pytest.raises(AsrKdError, match=r"augment\.view: "):
        plan_view("utt", -1, _ALL)


def _masked(features: torch.Tensor, seed: int, config: SpecAugmentConfig) -> torch.Tensor:
    return spec_augment(features, torch.Generator().manual_seed(seed), config)


def test_spec_augment_masks_bands_and_stretches_with_the_mean() -> None:
    features = torch.randn(300, 40, generator=torch.Generator().manual_seed(0)) + 5
    config = SpecAugmentConfig(num_freq_masks=1, max_freq_width=8, num_time_masks=1, max_time_width=30)
    widths = []
    for seed in range(50):
        masked = _masked(features, seed, config)
        changed = masked != features
        bands, frames = changed.all(dim=0), changed.all(dim=1)
        assert torch.equal(changed, bands[None, :] | frames[:, None])
        mean = features.mean(dim=0).expand_as(features)
        assert torch.equal(masked[changed], mean[changed])
        for mask, longest in ((bands, 8), (frames, 30)):
            places = mask.nonzero()[:, 0].tolist()
            assert len(places) <= longest
            assert places == list(range(places[0], places[0] + len(places))) if places else True
        widths.append((int(bands.sum()), int(frames.sum())))
    assert {8, 0} <= {band for band, _ in widths}
    assert len({frames for _, frames in widths}) > 15


def test_spec_augment_follows_its_generator_and_leaves_its_input() -> None:
    features = torch.randn(100, 40, generator=torch.Generator().manual_seed(0))
    before = features.clone()
    first = _masked(features, 1, SpecAugmentConfig())
    assert torch.equal(first, _masked(features, 1, SpecAugmentConfig()))
    assert not torch.equal(first, _masked(features, 2, SpecAugmentConfig()))
    assert torch.equal(features, before)


@pytest.mark.parametrize("num_frames", [0, 1, 4])
def test_spec_augment_leaves_frames_in_short_utterances(num_frames: int) -> None:
    features = torch.arange(num_frames * 40.0).reshape(num_frames, 40)
    config = SpecAugmentConfig(num_freq_masks=0, num_time_masks=5, max_time_share=0.2)
    assert torch.equal(_masked(features, 0, config), features)


def test_views_are_masked_by_utterance_and_number_and_the_original_is_not() -> None:
    features = torch.randn(200, 40, generator=torch.Generator().manual_seed(3))
    config = AugmentConfig(spec_augment=SpecAugmentConfig())
    masked = [mask_view(features, utt_id, view, config) for utt_id, view in (("a", 1), ("a", 2), ("b", 1))]
    assert torch.equal(masked[0], mask_view(features, "a", 1, config))
    assert not torch.equal(masked[0], masked[1])
    assert not torch.equal(masked[0], masked[2])
    assert torch.equal(mask_view(features, "a", 0, config), features)
    assert torch.equal(mask_view(features, "a", 1, AugmentConfig()), features)
