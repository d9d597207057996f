"""Probabilities as small codes with a bound of the error, by rounding to the nearest or without bias."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

NUM_LEVELS = 255
"""Codes 0 to 254 are levels; 255 is left to a code's own use."""


@dataclass(frozen=True)
class LogGrid:
    """Levels ``2^(-c / steps)`` for code c, rounded to float16 so that a pool stores them exactly.

    Attributes:
        steps: Levels an octave. The nearest level is off by a factor of at most ``2^(1 / (2 steps))``, and of
            float16's rounding: 4.5 % at 8 steps.
    """

    steps: int

    @property
    def num_codes(self) -> int:
        """Codes in use: the last stands for float16's smallest normal number or more."""
        return min(NUM_LEVELS, 14 * self.steps + 1)

    @property
    def least(self) -> float:
        """The lowest level."""
        return math.pow(2.0, -(self.num_codes - 1) / self.steps)

    def levels(self, device: torch.device | str = "cpu") -> Tensor:
        """Return the levels, float32 ``[num_codes]``, falling from 1."""
        codes = torch.arange(self.num_codes, device=device)
        return torch.exp2(codes / -self.steps).half().float()

    def nearest(self, log_probs: Tensor) -> Tensor:
        """Return the codes of log probabilities, int32; ``num_codes`` for what is below the lowest level."""
        codes = torch.round(log_probs.float() * (-self.steps / math.log(2)))
        return codes.clamp(0, self.num_codes).to(torch.int32)

    def unbiased(self, probs: Tensor, uniform: Tensor) -> Tensor:
        """Return one of the two codes around each probability, so that its expectation is the probability.

        Below the lowest level the other choice is 0, with code ``num_codes``.

        Args:
            probs: From 0 to 1.
            uniform: Random numbers from 0 to 1, of the same shape.
        """
        above, upper, lower = self._around(probs)
        goes_up = uniform.double() * (upper - lower) < probs.double() - lower
        return torch.where(goes_up, above, above + 1).to(torch.int32)

    def variance(self, probs: Tensor) -> Tensor:
        """Return the variance of :meth:`unbiased` levels, float64."""
        _, upper, lower = self._around(probs)
        return (upper - probs) * (probs - lower)

    def _around(self, probs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the code of the level at or above each probability, that level, and the one below it."""
        levels = torch.cat([self.levels(probs.device).double(), torch.zeros(1, device=probs.device)])
        # Levels fall and searchsorted wants them to rise; it counts those that are lower.
        num_lower = torch.searchsorted(levels.flip(0), probs.double().contiguous(), side="left")
        above = (self.num_codes - num_lower).clamp(0, self.num_codes - 1)
        return above, levels[above], levels[above + 1]


@dataclass(frozen=True)
class MassGrid:
    """Codes for a mass from 0 to 1, evenly spaced in ``asin(sqrt(mass))``.

    The divergence between a mass and its code's is at most ``2 (pi / 4 / (2^bits - 1))^2`` nats whatever the
    mass (1.9e-5 at 8 bits), to second order.

    Attributes:
        bits: Of a code.
    """

    bits: int = 8

    def nearest(self, mass: Tensor) -> Tensor:
        """Return the codes, int32."""
        angle = mass.float().clamp(0, 1).sqrt().asin()
        return torch.round(angle / self._step).to(torch.int32)

    def masses(self, codes: Tensor) -> Tensor:
        """Return the masses of codes, float32."""
        return torch.sin(codes.float() * self._step).square()

    @property
    def _step(self) -> float:
        return math.pi / 2 / ((1 << self.bits) - 1)
