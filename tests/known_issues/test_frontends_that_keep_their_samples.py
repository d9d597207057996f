"""Two threads called a user's frontend at once: one that kept samples in itself gave features of others."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import soundfile

from asr_kd.data.frame_store import FrameStore
from asr_kd.data.manifest import Utterance
from asr_kd.extraction import FeatureConfig, extract_split
from asr_kd.frontend.base import FrontendSpec

RATE, SHIFT = 1000, 0.1
SECONDS = 16  # two of them are more than is computed together
NUM_UTTERANCES = 6


class KeepsItsSamples:
    """The mean of each frame, of samples that lie in the instance meanwhile."""

    spec = FrontendSpec(dim=1, frame_shift=SHIFT, sampling_rate=RATE, fingerprint="means")

    def extract(self, samples: np.ndarray, sampling_rate: int) -> np.ndarray:
        self.samples = samples
        time.sleep(0.01)  # as long as real features take
        frames = self.samples.reshape(-1, round(SHIFT * sampling_rate))
        return frames.mean(axis=1, keepdims=True).astype(np.float32)


def test_each_utterance_has_the_features_of_its_own_samples(tmp_path: Path) -> None:
    levels = {f"u{number}": (number + 1) / 16 for number in range(NUM_UTTERANCES)}
    num_samples = SECONDS * RATE
    for utt_id, level in levels.items():
        soundfile.write(tmp_path / f"{utt_id}.wav", np.full(num_samples, level), RATE)
    rows = [Utterance(name, name, str(tmp_path / f"{name}.wav"), num_samples, RATE) for name in levels]
    config = FeatureConfig(name="means:KeepsItsSamples", cmvn="none")
    extract_split(rows, KeepsItsSamples(), config, tmp_path / "features")
    store = FrameStore(tmp_path / "features")
    found = {name: store.frames[slice(*store.span(name))].mean() for name in levels}
    assert found == levels
