"""Mel-frequency cepstral coefficients as Kaldi computes them."""

from __future__ import annotations

import torch
from pydantic import ConfigDict, Field, PositiveInt, model_validator
from pydantic.dataclasses import dataclass

from asr_kd.frontend.torchaudio_fbank import KaldiFrontend, kaldi_compliance


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

    def _compute(self, frames: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = kaldi_compliance().mfcc(
            frames, num_ceps=self.num_ceps, cepstral_lifter=self.cepstral_lifter, **self._arguments()
        )
        return features
