"""Kaldi's log-mel energies of blocks of frames, in a few passes over memory that stays in the cache."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

ROWS = 256
"""Frames in a block. A shorter one is computed as a whole one, for a product of another size may round
otherwise, and features must not depend on what is computed together."""

_PREEMPHASIS = 0.97
_LEAST_COLUMNS = 12  # below them :func:`padded_columns`
_ENERGY_FLOOR = float(np.finfo(np.float32).eps)
_INT16_SCALE = 32768.0
"""Kaldi reads samples as 16-bit integers; its floors and everybody's published values assume that."""


class LogMel:
    """The map from frames of samples to log-mel energies; one serves all threads.

    Args:
        window: Samples W in a frame.
        filters: Weights of M mel filters on the power spectrum, ``[M, num_fft / 2 + 1]``.

    Source: Kaldi ``ProcessWindow`` in feature-window.cc and ``FbankComputer::Compute``, without dither.
    """

    def __init__(self, window: int, filters: Tensor) -> None:
        self._window = window
        # Povey's window, and the scale of 16-bit integers with it: a power of two changes no digit.
        shape = torch.hann_window(window, periodic=False).pow(0.85) * _INT16_SCALE
        self._shape = shape[1:].contiguous()  # [W - 1]; its first value is 0
        # A bin's weight for the squares of its real and of its imaginary part: one product sums both.
        self._weights = padded_columns(filters.T.repeat_interleave(2, dim=0))  # [num_fft + 2, M or more]
        self._num_bins = len(filters)

    def buffer(self) -> Tensor:
        """Return what :meth:`__call__` works in; each thread needs one of its own."""
        return torch.zeros(ROWS, num_fft(self._window))

    def __call__(self, frames: NDArray[np.float32], buffer: Tensor) -> Tensor:
        """Return log-mel energies.

        Args:
            frames: At most ``ROWS`` frames of samples within -1 and 1, ``[B, W]``; they are overwritten.
            buffer: From :meth:`buffer`.

        Returns:
            float32 ``[ROWS, M]``, of which the first B are the frames'.
        """
        centred = torch.from_numpy(frames)
        centred -= centred.mean(dim=1, keepdim=True)
        shaped = buffer[: len(frames), 1 : self._window]
        torch.sub(centred[:, 1:], centred[:, :-1], alpha=_PREEMPHASIS, out=shaped)
        shaped *= self._shape
        spectrum = torch.view_as_real(torch.fft.rfft(buffer)).flatten(1)  # [ROWS, num_fft + 2]
        energies = (spectrum.square_() @ self._weights)[:, : self._num_bins]
        return energies.clamp_min_(_ENERGY_FLOOR).log_()


def padded_columns(weights: Tensor) -> Tensor:
    """Return weights ``[K, M]`` with columns of zeros up to twelve.

    Of products with fewer columns some processors take rows by their place in memory, so that a frame's last
    bits would depend on the frames around it.
    """
    return torch.nn.functional.pad(weights, (0, max(0, _LEAST_COLUMNS - weights.shape[1]))).contiguous()


def num_fft(window: int) -> int:
    """Return the points of the Fourier transform of a window: the next power of two."""
    return 1 << (window - 1).bit_length()
