"""Log-mel energies through librosa, as in much of the literature outside Kaldi."""

from __future__ import annotations

from dataclasses import asdict
from functools import cached_property
from typing import ClassVar

import numpy as np
from pydantic import ConfigDict, Field, PositiveFloat, PositiveInt, model_validator
from pydantic.dataclasses import dataclass

from asr_kd.frontend.framing import frame_blocks, window_samples
from asr_kd.frontend.protocol import Features, FrontendSpec, Samples, check_input, frontend_fingerprint
from asr_kd.frontend.torchaudio_fbank import check_band


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class LibrosaLogMel:
    """Natural logarithm of librosa's mel power spectrogram (Slaney's mel scale, filters of equal area).

    Frame t is centred on ``(t + 0.5) * frame_shift`` as in Kaldi, half a shift later than with
    ``center=True``, so that targets of other frontends fit frame by frame.

    Attributes:
        num_mel_bins: Filters.
        sampling_rate: In Hz.
        frame_shift: In seconds.
        frame_length: Length of the Hann window in seconds.
        low_freq: Lower edge of the first filter in Hz.
        high_freq: Upper edge of the last filter in Hz; 0 or below counts from half the sampling rate.
        power_floor: Smallest mel power before the logarithm, of samples within -1 and 1.

    Source: librosa ``feature.melspectrogram``.
    """

    num_mel_bins: PositiveInt = 40
    sampling_rate: PositiveInt = 16000
    frame_shift: PositiveFloat = 0.01
    frame_length: PositiveFloat = 0.025
    low_freq: float = Field(default=20.0, ge=0)
    high_freq: float = 0.0
    power_floor: PositiveFloat = 1e-10

    version: ClassVar[int] = 1

    @model_validator(mode="after")
    def _check_window(self) -> LibrosaLogMel:
        check_band(self.low_freq, self.high_freq, self.sampling_rate)
        if self._window < 2:
            raise ValueError(f"frame_length {self.frame_length} s is shorter than two samples")
        return self

    @cached_property
    def spec(self) -> FrontendSpec:
        """Width, frame shift, rate and fingerprint."""
        identity = frontend_fingerprint(type(self), asdict(self), self.version)
        return FrontendSpec(self.num_mel_bins, self.frame_shift, self.sampling_rate, identity)

    @property
    def _window(self) -> int:
        return window_samples(self.sampling_rate, self.frame_length)

    def extract(self, samples: Samples, sampling_rate: int) -> Features:
        """Return features ``[T, D]``; see :class:`asr_kd.frontend.base.Frontend`.

        Raises:
            FrontendError: For samples that are not mono float32 or have another rate.
        """
        check_input(self.spec, samples, sampling_rate)
        num_fft = 1 << (self._window - 1).bit_length()
        blocks = [
            self._log_mel(frames.reshape(-1), num_fft)
            for frames in frame_blocks(samples, sampling_rate, self.frame_shift, num_fft)
        ]
        return np.concatenate([np.empty((0, self.num_mel_bins), dtype=np.float32), *blocks])

    def _log_mel(self, frames: Samples, num_fft: int) -> Features:
        """Return ``[B, D]`` of windows laid end to end ``[B * num_fft]``."""
        import librosa

        power = librosa.feature.melspectrogram(
            y=frames,
            sr=self.sampling_rate,
            n_fft=num_fft,
            hop_length=num_fft,
            win_length=self._window,
            center=False,
            power=2.0,
            n_mels=self.num_mel_bins,
            fmin=self.low_freq,
            fmax=check_band(self.low_freq, self.high_freq, self.sampling_rate),
        )  # [D, B]
        log_mel: Features = np.log(np.maximum(power.T, self.power_floor)).astype(np.float32)
        return log_mel
