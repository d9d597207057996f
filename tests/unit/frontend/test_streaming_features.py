from __future__ import annotations

import numpy as np
import pytest

from asr_kd.data.audio import resample
from asr_kd.frontend.base import compute_features, load_frontend
from asr_kd.frontend.framing import frame_blocks
from asr_kd.frontend.protocol import FrontendSpec
from asr_kd.frontend.streaming import RunningCmvn, StreamingFeatures


def noise(num_samples: int) -> np.ndarray:
    return (0.1 * np.random.default_rng(0).standard_normal(num_samples)).astype(np.float32)


@pytest.mark.parametrize("name", ["fbank", "mfcc", "librosa_logmel"])
@pytest.mark.parametrize(("own_rate", "rate"), [(16000, 16000), (22050, 22050), (16000, 8000), (8000, 22050)])
@pytest.mark.parametrize("chunk", [400, 1601])
def test_streamed_features_are_those_of_the_whole(name, own_rate, rate, chunk):
    frontend = load_frontend(name, {"sampling_rate": own_rate})
    samples = noise(int(0.63 * rate) + 7)
    stream = StreamingFeatures(frontend, rate, resample)
    parts = [stream.accept(samples[start : start + chunk]) for start in range(0, len(samples), chunk)]
    found = np.concatenate([*parts, stream.finish()])
    expected = compute_features(frontend, samples, rate, resample)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 2e-3
    assert len(stream.finish()) == 0


def test_frames_come_as_soon_as_their_window_is_there():
    """A window of 25 ms around the middle of 10 ms reaches 7.5 ms into the next frame."""
    stream = StreamingFeatures(load_frontend("fbank", {"sampling_rate": 16000}), 16000)
    assert [len(stream.accept(noise(160))) for _ in range(6)] == [0, 1, 1, 1, 1, 1]
    assert len(stream.finish()) == 1


def test_a_recording_shorter_than_a_frame():
    stream = StreamingFeatures(load_frontend("fbank", {}), 16000)
    assert len(stream.accept(noise(50))) == len(stream.finish()) == 0


def test_the_buffer_does_not_grow():
    stream = StreamingFeatures(load_frontend("fbank", {"sampling_rate": 16000}), 16000)
    for _ in range(50):
        stream.accept(noise(1600))
    assert len(stream._samples) < 2 * 1600


def test_running_normalisation_by_hand():
    cmvn = RunningCmvn(1, "utterance", num_first=4)
    assert len(cmvn.accept(np.array([[1.0], [3.0]], np.float32))) == 0
    first = cmvn.accept(np.array([[1.0], [3.0]], np.float32))
    assert first.ravel().tolist() == pytest.approx([-1, 1, -1, 1])  # mean 2, deviation 1
    # Of 1 3 1 3 7: mean 3, variance (4 + 0 + 4 + 0 + 16) / 5.
    later = cmvn.accept(np.array([[7.0]], np.float32))
    assert later.ravel().tolist() == pytest.approx([4 / np.sqrt(24 / 5)])
    assert cmvn.finish().shape == (0, 1)


def test_what_is_held_back_comes_at_the_end():
    cmvn = RunningCmvn(1, "speaker", num_first=100)
    assert len(cmvn.accept(np.array([[1.0], [3.0]], np.float32))) == 0
    assert cmvn.finish().ravel().tolist() == pytest.approx([-1, 1])


def test_without_normalisation_frames_pass():
    frames = np.array([[1.0], [3.0]], np.float32)
    cmvn = RunningCmvn(1, "none")
    assert cmvn.accept(frames) is frames
    assert len(cmvn.finish()) == 0


class OwnFrontend:
    """Energy and first sample of each window, of a class as a user would write it."""

    def __init__(self, rate: int, window: int) -> None:
        self.spec = FrontendSpec(dim=2, frame_shift=0.01, sampling_rate=rate, fingerprint="own")
        self._window = window

    def extract(self, samples, sampling_rate):
        blocks = [
            np.stack([np.square(frames).sum(axis=1), frames[:, 0]], axis=1)
            for frames in frame_blocks(samples, sampling_rate, 0.01, self._window)
        ]
        return np.concatenate([np.zeros((0, 2), np.float32), *blocks]).astype(np.float32)


@pytest.mark.parametrize("seconds", [0.1, None, 0.04])
@pytest.mark.parametrize("rate", [16000, 22050, 11025])
@pytest.mark.parametrize("chunk", [1, 160, 777, 5000])
def test_an_own_frontend_says_how_long_its_window_is_or_has_one_of_a_tenth_of_a_second(seconds, rate, chunk):
    frontend = OwnFrontend(rate, int(rate * (seconds or 0.1)))
    if seconds is not None:
        frontend.frame_length = seconds
    samples = noise(rate // 2 + 5 if chunk > 1 else 1500)
    stream = StreamingFeatures(frontend, rate)
    parts = [stream.accept(samples[start : start + chunk]) for start in range(0, len(samples), chunk)]
    found = np.concatenate([*parts, stream.finish()])
    assert np.allclose(found, frontend.extract(samples, rate), rtol=1e-5, atol=0)
