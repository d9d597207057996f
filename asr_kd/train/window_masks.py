"""Masks over the windows that a net sees in training, drawn anew in every step.

What is asked for stays that of the whole window: a student is to say of a masked window what its teachers say
of the whole one, and so has to find in one place what they find in another. A masked view
(:class:`asr_kd.data.augment.SpecAugmentConfig`) is another thing: there the teachers see the mask as well.
"""

from __future__ import annotations

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor


class WindowMasks(BaseModel):
    """How much of a window is masked: at most one band of feature values, and one stretch of frames.

    The usual masks leave the frames alone: hidden values helped, hidden frames did not
    (recipes/speechocean762/RESULTS.md).

    Attributes:
        probability: That a window has a band masked, and by itself that it has a stretch of frames masked.
        max_freq_width: Widest band of neighbouring feature values; one value stays.
        max_time_width: Longest stretch of frames; one frame stays. The shortest of either is 0.

    Source: Park et al. 2019, "SpecAugment"; a student that learns under noise from teachers that have none is
    that of Xie et al. 2020, "Self-training with Noisy Student".
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    probability: float = Field(0.5, gt=0, le=1)
    max_freq_width: int = Field(12, ge=0)
    max_time_width: int = Field(0, ge=0)


def mask_windows(windows: Tensor, masks: WindowMasks) -> Tensor:
    """Return windows ``[B, W, D]`` with 0, the mean of normalised features, where they are masked.

    Drawn from torch's generator of the windows' device.
    """
    _, width, dim = windows.shape
    frames = _kept(windows, width, masks.max_time_width, masks.probability)
    bands = _kept(windows, dim, masks.max_freq_width, masks.probability)
    return windows * (frames[:, :, None] * bands[:, None, :])


def _kept(windows: Tensor, size: int, widest: int, probability: float) -> Tensor:
    """Return ``[B, size]`` of ones, with a run of zeros in some rows."""
    masked, width, begin = torch.rand(3, len(windows), 1, device=windows.device).unbind()
    width = (width * (min(widest, size - 1) + 1)).floor() * (masked < probability)
    begin = (begin * (size - width + 1)).floor()
    places = torch.arange(size, device=windows.device)
    return ((places < begin) | (places >= begin + width)).to(windows.dtype)
