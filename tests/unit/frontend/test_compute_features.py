"""The guarded entry through which the pipeline computes features."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from asr_kd.errors import FrontendError
from asr_kd.frontend.base import FrontendSpec, Recording, compute_batch, compute_features, load_frontend
from asr_kd.units import num_frames


class _Made:
    """Frontend of width 2 whose features a test gives."""

    def __init__(self, features: Callable[[np.ndarray], object], rate: int = 16000) -> None:
        self.spec = FrontendSpec(2, 0.01, rate, "made")
        self._features = features
        self.seen: np.ndarray | None = None

    def extract(self, samples: np.ndarray, sampling_rate: int) -> np.ndarray:
        assert sampling_rate == self.spec.sampling_rate
        self.seen = samples
        return self._features(samples)  # type: ignore[return-value]  # wrong on purpose in some tests


def _right(samples: np.ndarray, rate: int = 16000) -> np.ndarray:
    return np.zeros((num_frames(len(samples), rate, 0.01), 2), dtype=np.float32)


def _resampler_of_length(num_samples: int) -> Callable[[np.ndarray, int, int], np.ndarray]:
    return lambda samples, from_rate, to_rate: np.ones(num_samples, dtype=np.float32)


def test_features_are_those_of_extract() -> None:
    samples = np.random.default_rng(0).standard_normal(1600).astype(np.float32)
    fbank = load_frontend()
    assert np.array_equal(compute_features(fbank, samples, 16000), fbank.extract(samples, 16000))


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (np.zeros((11, 2), np.float32), "wrong number of frames; expected 10 frames, got 11 frames"),
        (np.zeros((9, 2), np.float32), "expected 10 frames, got 9 frames"),
        (np.zeros((10, 3), np.float32), r"wrong width; expected dim 2, got float32 \[10, 3\]"),
        (np.zeros((10, 2)), r"wrong type; expected float32 \[T, D\], got float64 \[10, 2\]"),
        (np.zeros(20, np.float32), r"wrong type; .*got float32 \[20\]"),
        ([[0.0, 0.0]] * 10, "wrong type; .*got list"),
        (None, "wrong type; .*got NoneType"),
        (np.full((10, 2), np.nan, np.float32), "not finite; got nan at frame 0, value 0"),
    ],
)
def test_features_that_break_the_contract(features: object, message: str) -> None:
    samples = np.zeros(1600, np.float32)
    with pytest.raises(FrontendError, match=message) as caught:
        compute_features(_Made(lambda _: features), samples, 16000, where="utt-7")
    assert str(caught.value).startswith("utt-7: ")
    assert "_Made" in str(caught.value)


def test_the_place_of_a_value_that_is_not_finite_is_named() -> None:
    features = np.zeros((10, 2), np.float32)
    features[4, 1] = -np.inf
    with pytest.raises(FrontendError, match="-inf at frame 4, value 1"):
        compute_features(_Made(lambda _: features), np.zeros(1600, np.float32), 16000)


def test_what_extract_raises_becomes_one_line_with_its_place() -> None:
    def fail(samples: np.ndarray) -> np.ndarray:
        raise IndexError("out of\nreach")

    with pytest.raises(
        FrontendError, match=r"utt: .*failed; got IndexError: out of reach \(in test_comp.*py:\d+\)"
    ):
        compute_features(_Made(fail), np.zeros(1600, np.float32), 16000, where="utt")


def test_another_rate_needs_a_resampler() -> None:
    with pytest.raises(FrontendError, match=r"utt: .*no resampler was given; expected 16000 Hz, got 8000 Hz"):
        compute_features(_Made(_right), np.zeros(800, np.float32), 8000, where="utt")


def test_the_resampler_is_told_both_rates_and_not_called_for_equal_ones() -> None:
    calls = []

    def resampler(samples: np.ndarray, from_rate: int, to_rate: int) -> np.ndarray:
        calls.append((from_rate, to_rate))
        return np.repeat(samples, to_rate // from_rate)

    frontend = _Made(_right)
    assert len(compute_features(frontend, np.zeros(800, np.float32), 8000, resampler)) == 10
    assert len(compute_features(frontend, np.zeros(800, np.float32), 16000, resampler)) == 5
    assert calls == [(8000, 16000)]


@pytest.mark.parametrize(
    ("num_samples", "resampled", "expected", "num_given"),
    [
        # 22.05 kHz, 220.5 a shift: 330 samples are 1.497 shifts, so 1 frame; a resampler that rounds
        # up gives 240 samples at 16 kHz, 1.5 shifts, which would be 2 frames.
        (330, 240, 1, 239),
        # 331 samples are 1.501 shifts, so 2 frames; 239 samples at 16 kHz would be 1.
        (331, 239, 2, 240),
        (110, 80, 0, 79),
        (22050, 16000, 100, 16000),
        (22050, 15900, 100, 15920),
        (22050, 16100, 100, 16079),
    ],
)
def test_the_number_of_frames_is_that_of_the_original(
    num_samples: int, resampled: int, expected: int, num_given: int
) -> None:
    frontend = _Made(_right)
    samples = np.ones(num_samples, np.float32)
    features = compute_features(frontend, samples, 22050, _resampler_of_length(resampled))
    assert len(features) == expected
    assert frontend.seen is not None
    assert len(frontend.seen) == num_given
    assert frontend.seen[min(resampled, num_given) :].tolist() == [0] * max(0, num_given - resampled)


@pytest.mark.parametrize("num_samples", range(21_900, 22_400, 7))
def test_every_length_at_another_rate_agrees_with_the_manifest(num_samples: int) -> None:
    resampled = -(-num_samples * 16000 // 22050)
    samples = np.zeros(num_samples, np.float32)
    features = compute_features(_Made(_right), samples, 22050, _resampler_of_length(resampled))
    assert len(features) == num_frames(num_samples, 22050, 0.01)


def test_samples_that_are_not_finite_are_not_blamed_on_the_frontend() -> None:
    samples = np.zeros(1600, np.float32)
    samples[3] = np.nan
    with pytest.raises(FrontendError, match="utt: samples are not finite"):
        compute_features(load_frontend(), samples, 16000, where="utt")


def test_stereo_and_integer_samples_are_refused() -> None:
    for samples in (np.zeros((1600, 2), np.float32), np.zeros(1600, np.int16)):
        with pytest.raises(FrontendError, match=r"not mono; expected float32 \[N\]"):
            compute_features(load_frontend(), samples, 16000)  # type: ignore[arg-type]  # refused


def test_a_reversed_view_of_samples_is_taken() -> None:
    samples = np.random.default_rng(0).standard_normal(1600).astype(np.float32)
    reverse = compute_features(load_frontend(), samples[::-1], 16000)
    assert np.array_equal(reverse, compute_features(load_frontend(), samples[::-1].copy(), 16000))


class _Together(_Made):
    """Fails, as a batch and alone, where a recording is loud."""

    def extract_batch(self, recordings: list[np.ndarray], sampling_rate: int) -> list[np.ndarray]:
        return [self.extract(samples, sampling_rate) for samples in recordings]


def _refuse_loud(samples: np.ndarray) -> np.ndarray:
    if samples.any():
        raise IndexError("too loud")
    return _right(samples)


@pytest.mark.parametrize("made", [_Made, _Together])
def test_a_batch_names_the_recording_that_fails(made: type[_Made]) -> None:
    quiet, loud = np.zeros(1600, np.float32), np.ones(1600, np.float32)
    recordings = [Recording(quiet, 16000, "utt-1"), Recording(loud, 16000, "utt-2")]
    with pytest.raises(FrontendError, match=r"^utt-2: frontend .* failed; got IndexError: too loud"):
        compute_batch(made(_refuse_loud), recordings)


def test_a_batch_of_mixed_rates_gives_each_recordings_own_features() -> None:
    fbank = load_frontend()
    rng = np.random.default_rng(0)
    signals = [(rng.standard_normal(length).astype(np.float32), rate) for length, rate in
               [(16000, 16000), (8000, 8000), (100, 16000)]]  # fmt: skip

    def double(samples: np.ndarray, from_rate: int, to_rate: int) -> np.ndarray:
        return np.repeat(samples, 2)

    batch = compute_batch(fbank, [Recording(samples, rate) for samples, rate in signals], double)
    for features, (samples, rate) in zip(batch, signals, strict=True):
        assert np.array_equal(features, compute_features(fbank, samples, rate, double))
    assert compute_batch(fbank, []) == []


def test_a_batch_with_a_recording_too_few_is_refused() -> None:
    class Loses(_Made):
        def extract_batch(self, recordings: list[np.ndarray], sampling_rate: int) -> list[np.ndarray]:
            return [self.extract(samples, sampling_rate) for samples in recordings[1:]]

    recordings = [Recording(np.zeros(1600, np.float32), 16000)] * 2
    with pytest.raises(FrontendError, match="wrong number of recordings; expected 2, got 1"):
        compute_batch(Loses(_right), recordings)
