"""Log-mel filterbank energies as Kaldi computes them, the default frontend."""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import ConfigDict, Field, PositiveFloat, PositiveInt, model_validator
from pydantic.dataclasses import dataclass

from asr_kd.frontend.framing import batch_blocks, window_samples
from asr_kd.frontend.log_mel import ROWS, LogMel, num_fft
from asr_kd.frontend.protocol import Features, FrontendSpec, Samples, check_input, frontend_fingerprint
from asr_kd.torchaudio_compat import import_torchaudio
from asr_kd.units import num_frames


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class KaldiFrontend:
    """What Kaldi's filterbank and MFCC share: framing, window and mel bins.

    Rates at which the shift is no whole number of samples (22.05 kHz) keep the right number of frames,
    recordings shorter than a window work, and memory beside samples and features is that of one block.

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

    @cached_property
    def _log_mel(self) -> LogMel:
        nothing_warped = (100.0, -500.0, 1.0)
        filters, _ = kaldi_compliance().get_mel_banks(
            self.num_mel_bins,
            num_fft(self._window),
            float(self.sampling_rate),
            self.low_freq,
            self.high_freq,
            *nothing_warped,
        )
        return LogMel(self._window, torch.nn.functional.pad(filters, (0, 1)))  # none reaches the last bin

    def extract(self, samples: Samples, sampling_rate: int) -> Features:
        """Return features ``[T, D]``; see :class:`asr_kd.frontend.base.Frontend`.

        Raises:
            FrontendError: For samples that are not mono float32 or have another rate.
        """
        return self.extract_batch([samples], sampling_rate)[0]

    def extract_batch(self, recordings: Sequence[Samples], sampling_rate: int) -> list[Features]:
        """Return the features of each recording, to the bit those of :meth:`extract`.

        Raises:
            FrontendError: As there.
        """
        for samples in recordings:
            check_input(self.spec, samples, sampling_rate)
        lengths = [num_frames(len(samples), sampling_rate, self.frame_shift) for samples in recordings]
        features = np.empty((sum(lengths), self._dim), dtype=np.float32)
        buffer, done = self._log_mel.buffer(), 0
        for frames in batch_blocks(recordings, sampling_rate, self.frame_shift, self._window, ROWS):
            block = self._from_log_mel(self._log_mel(frames, buffer))
            features[done : done + len(frames)] = block[: len(frames)].numpy()
            done += len(frames)
        ends = np.cumsum([0, *lengths])
        return [features[first:last] for first, last in itertools.pairwise(ends)]

    def _from_log_mel(self, log_mel: torch.Tensor) -> torch.Tensor:
        """Return features ``[B, D]`` from log-mel energies ``[B, M]``."""
        raise NotImplementedError


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

    def _from_log_mel(self, log_mel: torch.Tensor) -> torch.Tensor:
        return log_mel
