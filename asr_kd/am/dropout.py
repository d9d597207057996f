"""Dropout whose random numbers cost little on a CPU."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_LEVELS = 256


class Dropout(nn.Module):
    """Sets each value to zero with a probability, and scales the others so that the mean stays.

    torch's own dropout draws a 64-bit random number for each value on one CPU thread, which takes longer than
    the matrix products of a small net. One such number gives eight bytes, and here a byte decides: the
    probability is rounded to a multiple of 1/256. On other devices torch's own is used.

    Args:
        p: Probability of a zero, from 0 to below 1.

    Source: Srivastava et al. 2014; the scaling at training time is the usual "inverted" form.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        assert 0 <= p < 1
        self.p = p
        self._threshold = min(round(p * _LEVELS), _LEVELS - 1)

    def extra_repr(self) -> str:
        """Return the probability."""
        return f"p={self.p}"

    def forward(self, values: Tensor) -> Tensor:
        """Return values with some set to zero while training, and as they are otherwise."""
        if not self.training or self.p == 0:
            return values
        if values.device.type != "cpu":
            return nn.functional.dropout(values, self.p)
        return values * self._mask(values)

    def _mask(self, values: Tensor) -> Tensor:
        words = torch.empty(-(-values.numel() // 8), dtype=torch.int64)
        # From the lowest number on, without an upper end: all 64 bits are random.
        words.random_(-(2**63), None)
        kept = words.view(torch.uint8)[: values.numel()].view(values.shape) >= self._threshold
        return kept.to(values.dtype).mul_(_LEVELS / (_LEVELS - self._threshold))
