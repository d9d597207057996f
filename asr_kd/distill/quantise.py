"""Probabilities as small codes on a logarithmic scale, with a bound of the error."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class LogQuantiser:
    """Codes for ratios of at most 1: code c stands for ``2^(-c * step)``, the last code for 0.

    Attributes:
        bits: Of a code.
        octaves: Range; a ratio below about ``2^-octaves`` becomes 0.
    """

    bits: int
    octaves: float = 16.0

    @property
    def zero_code(self) -> int:
        """The code of what is too small to be kept."""
        return (1 << self.bits) - 1

    @property
    def step(self) -> float:
        """Octaves between neighbouring codes; a ratio is off by at most half of it."""
        return self.octaves / self.zero_code

    def encode(self, log2_ratios: Tensor) -> Tensor:
        """Return the codes, int32, of log2 of ratios, at most 0 each."""
        codes = torch.round(log2_ratios.float() / -self.step)
        return codes.clamp(0, self.zero_code).to(torch.int32)

    def decode(self, codes: Tensor) -> Tensor:
        """Return the ratios of codes, float32."""
        return self._table(codes.device)[codes.long()]

    def _table(self, device: torch.device) -> Tensor:
        table = torch.exp2(torch.arange(2**self.bits, device=device) * -self.step)
        table[self.zero_code] = 0.0
        return table


@dataclass(frozen=True)
class MassQuantiser:
    """Codes for a mass from 0 to 1, evenly spaced in ``asin(sqrt(mass))``.

    The divergence between a mass and its code's is at most ``2 (pi / 4 / (2^bits - 1))^2`` nats whatever the
    mass (1.9e-5 at 8 bits), to second order.

    Attributes:
        bits: Of a code.
    """

    bits: int = 8

    def encode(self, mass: Tensor) -> Tensor:
        """Return the codes, int32."""
        angle = mass.float().clamp(0, 1).sqrt().asin()
        return torch.round(angle / self._step).to(torch.int32)

    def decode(self, codes: Tensor) -> Tensor:
        """Return the masses, float32."""
        return torch.sin(codes.float() * self._step).square()

    @property
    def _step(self) -> float:
        return math.pi / 2 / ((1 << self.bits) - 1)
