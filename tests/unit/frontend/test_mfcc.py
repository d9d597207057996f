"""Cepstra against hand-worked values and torchaudio's own framing."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from asr_kd.errors import FrontendError
from asr_kd.frontend.base import load_frontend
from asr_kd.frontend.mfcc import Mfcc
from asr_kd.frontend.torchaudio_fbank import TorchaudioFbank, kaldi_compliance


def _noise(num_samples: int) -> np.ndarray:
    return (0.1 * np.random.default_rng(0).standard_normal(num_samples)).astype(np.float32)


def test_cepstra_of_silence() -> None:
    # 23 equal log-mels of ln 2^-23 = -15.942385: C0 is sqrt(1 / 23) * 23 of them, the others are 0.
    features = Mfcc().extract(np.zeros(1600, dtype=np.float32), 16000)
    np.testing.assert_allclose(features[:, 0], -15.942385 * math.sqrt(23), rtol=1e-6)
    np.testing.assert_allclose(features[:, 1:], 0, atol=1e-3)


def test_cepstra_are_the_liftered_cosine_transform_of_the_log_mels() -> None:
    samples = _noise(8000)
    log_mel = TorchaudioFbank(num_mel_bins=23).extract(samples, 16000).astype(np.float64)
    k, b = np.arange(1, 13)[:, None], np.arange(23)
    transform = math.sqrt(2 / 23) * np.cos(np.pi * k * (b + 0.5) / 23)  # [12, 23]
    lifter = 1 + 11 * np.sin(np.pi * np.arange(1, 13) / 22)
    np.testing.assert_allclose(
        Mfcc().extract(samples, 16000)[:, 1:], log_mel @ transform.T * lifter, atol=1e-3
    )


@pytest.mark.parametrize("num_samples", [400, 16000, 16080, 23_456])
def test_frames_are_torchaudios_own_without_snipped_edges(num_samples: int) -> None:
    samples = _noise(num_samples)
    expected = kaldi_compliance().mfcc(torch.from_numpy(samples)[None] * 32768, snip_edges=False, dither=0.0)
    np.testing.assert_allclose(Mfcc().extract(samples, 16000), expected.numpy(), atol=1e-3)


def test_more_cepstra_than_filters_are_refused() -> None:
    with pytest.raises(FrontendError, match="num_ceps 24 is above num_mel_bins 23"):
        load_frontend("mfcc", {"num_ceps": 24})
    assert load_frontend("mfcc", {"num_ceps": 40, "num_mel_bins": 40}).spec.dim == 40


def test_default_is_13_cepstra_with_a_fingerprint_of_their_own() -> None:
    spec = Mfcc().spec
    assert (spec.dim, spec.frame_shift, spec.sampling_rate) == (13, 0.01, 16000)
    marks = [spec.fingerprint, Mfcc(num_ceps=12).spec.fingerprint, Mfcc(cepstral_lifter=0).spec.fingerprint]
    assert len({*marks, TorchaudioFbank(num_mel_bins=23).spec.fingerprint}) == 4
