"""Log-mel filterbank energies as Kaldi computes them, the default frontend."""

from __future__ import annotations

import importlib
from dataclasses import asdict
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import ConfigDict, Field, PositiveFloat, PositiveInt, model_validator
from pydantic.dataclasses import dataclass

from asr_kd.frontend.framing import frame_blocks, window_samples
from asr_kd.frontend.protocol import Features, FrontendSpec, Samples, check_input, frontend_fingerprint
from asr_kd.torchaudio_compat import import_torchaudio

_INT16_SCALE = 32768.0
"""Kaldi reads samples as 16-bit integers; its floors and everybody's published values assume that."""


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class KaldiFrontend:
    """What Kaldi's filterbank and MFCC share: framing, window and mel bins.

    The signal is framed here and given to torchaudio as windows laid end to end. So rates at which
    the shift is no whole number of samples (22.05 kHz) keep the right number of frames, recordings
    shorter than a window work and memory does not grow with their length.

    Attributes:
        num_mel_bins: Triangular filters, spaced evenly on the mel scale.
        sampling_rate: In Hz.
        frame_shift: In seconds.
        frame_length: Length of the window in seconds.
        low_freq: Lower edge of the first filter in Hz.
        high_freq: Upper edge of the last filter in Hz; 0 or below counts from half the sampling rate.
    """

    num_mel_bins: int = Field(default=40, gt=3)
    sampling_rate: PositiveInt = 16000
    frame_shift: PositiveFloat = 0.01
    frame_length: PositiveFloat = 0.025
    low_freq: float = Field(default=20.0, ge=0)
    high_freq: float = 0.0

    version: ClassVar[int] = 1

    @model_validator(mode="after")
    def _check_band(self) -> KaldiFrontend:
        check_band(self.low_freq, self.high_freq, self.sampling_rate)
        if self._window < 2:
            raise ValueError(f"frame_length {self.frame_length} s is shorter than two samples")
        return self

    @property
    def _dim(self) -> int:
        raise NotImplementedError

    @cached_property
    def spec(self) -> FrontendSpec:
        """Width, frame shift, rate and fingerprint."""
        identity = frontend_fingerprint(type(self), asdict(self), self.version)
        return FrontendSpec(self._dim, self.frame_shift, self.sampling_rate, identity)

    @property
    def _window(self) -> int:
        return window_samples(self.sampling_rate, self.frame_length)

    def extract(self, samples: Samples, sampling_rate: int) -> Features:
        """Return features ``[T, D]``; see :class:`asr_kd.frontend.base.Frontend`.

        Raises:
            FrontendError: For samples that are not mono float32 or have another rate.
        """
        check_input(self.spec, samples, sampling_rate)
        features = np.empty((0, self._dim), dtype=np.float32)
        blocks = [
            self._compute(torch.from_numpy(frames.reshape(1, -1)) * _INT16_SCALE).numpy()
            for frames in frame_blocks(samples, sampling_rate, self.frame_shift, self._window)
        ]
        return np.concatenate([features, *blocks])

    def _compute(self, frames: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError

    def _arguments(self) -> dict[str, Any]:
        # torchaudio truncates milliseconds to samples; half a sample more keeps it from losing one.
        window_ms = (self._window + 0.5) * 1000 / self.sampling_rate
        return {
            "num_mel_bins": self.num_mel_bins,
            "sample_frequency": float(self.sampling_rate),
            "frame_length": window_ms,
            "frame_shift": window_ms,
            "snip_edges": True,
            "low_freq": self.low_freq,
            "high_freq": self.high_freq,
            "dither": 0.0,
        }


def check_band(low_freq: float, high_freq: float, sampling_rate: int) -> float:
    """Return the band's upper edge in Hz; refuse a band that does not fit the sampling rate.

    Raises:
        ValueError: As said.
    """
    nyquist = sampling_rate / 2
    high = high_freq if high_freq > 0 else nyquist + high_freq
    if not low_freq < high <= nyquist:
        raise ValueError(
            f"low_freq and high_freq must span a band within 0 and {nyquist:g} Hz "
            f"(sampling_rate {sampling_rate}), got {low_freq:g} to {high:g} Hz"
        )
    return high


def kaldi_compliance() -> Any:
    """Return torchaudio's module of Kaldi's features."""
    import_torchaudio()
    return importlib.import_module("torchaudio.compliance.kaldi")


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class TorchaudioFbank(KaldiFrontend):
    """Log energies of mel filters, without dither.

    Source: Kaldi ``compute-fbank-feats --snip-edges=false --dither=0``.
    """

    @property
    def _dim(self) -> int:
        return self.num_mel_bins

    def _compute(self, frames: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = kaldi_compliance().fbank(frames, **self._arguments())
        return features
