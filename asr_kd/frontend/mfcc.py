"""Mel-frequency cepstral coefficients as Kaldi computes them."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch
from pydantic import ConfigDict, Field, PositiveInt, model_validator
from pydantic.dataclasses import dataclass

from asr_kd.frontend.log_mel import padded_columns
from asr_kd.frontend.torchaudio_fbank import KaldiFrontend


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class Mfcc(KaldiFrontend):
    """Cepstra of the log-mel energies, C0 first, without dither and without the frame's energy.

    Attributes:
        num_ceps: Coefficients D, C0 included.
        num_mel_bins: Filters below them.
        cepstral_lifter: Evens out the coefficients' sizes; 0 leaves them as they are.

    Source: Kaldi ``compute-mfcc-feats --use-energy=false --snip-edges=false --dither=0``.
    """

    num_ceps: PositiveInt = 13
    num_mel_bins: int = Field(default=23, gt=3)
    cepstral_lifter: float = Field(default=22.0, ge=0)

    @model_validator(mode="after")
    def _check_num_ceps(self) -> Mfcc:
        if self.num_ceps > self.num_mel_bins:
            raise ValueError(f"num_ceps {self.num_ceps} is above num_mel_bins {self.num_mel_bins}")
        return self

    @property
    def _dim(self) -> int:
        return self.num_ceps

    @cached_property
    def _transform(self) -> torch.Tensor:
        """Orthonormal cosine transform with the lifter, ``[M, D or more]``."""
        k, b = np.arange(self.num_ceps), np.arange(self.num_mel_bins)[:, None]
        cosines = np.sqrt(2 / self.num_mel_bins) * np.cos(np.pi * k * (b + 0.5) / self.num_mel_bins)
        cosines[:, 0] = np.sqrt(1 / self.num_mel_bins)
        if self.cepstral_lifter:
            cosines *= 1 + self.cepstral_lifter / 2 * np.sin(np.pi * k / self.cepstral_lifter)
        return padded_columns(torch.from_numpy(cosines.astype(np.float32)))

    def _from_log_mel(self, log_mel: torch.Tensor) -> torch.Tensor:
        return (log_mel @ self._transform)[:, : self.num_ceps]
