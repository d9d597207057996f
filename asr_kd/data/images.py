"""Images as frames: bytes become pixel values, moved about by a few pixels where a net is trained so."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from asr_kd.data.augment import view_seed
from asr_kd.data.windows import Batch, BatchSource

_LEVELS = 256
"""Divisor of a byte: its 256 multiples are exact in float16 and bfloat16, which those of 1/255 are not."""


def pixel_values(images: Tensor) -> Tensor:
    """Return bytes as float32 from 0 to below 1, of the same shape."""
    return images.float() / _LEVELS


class PixelSource:
    """A :class:`~asr_kd.data.windows.BatchSource` over another one whose windows are images as bytes.

    Args:
        source: Batches of windows uint8 ``[B, 1, height * width]``.
        height: Of an image.
        width: Of an image.
        max_shift: Every image is moved by up to so many pixels in both directions, anew in every epoch;
            what comes in at the edge is 0.
        seed: With epoch and batch it fixes the shifts.
    """

    def __init__(
        self, source: BatchSource, height: int, width: int, max_shift: int = 0, seed: int = 0
    ) -> None:
        self._source = source
        self._shape = (height, width)
        self._max_shift = max_shift
        self._seed = seed

    @property
    def num_frames(self) -> int:
        """Images in one epoch."""
        return self._source.num_frames

    @property
    def batches_per_epoch(self) -> int:
        """Batches in one epoch."""
        return self._source.batches_per_epoch

    def epoch(self, epoch: int, first_batch: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch from ``first_batch`` on, windows float32."""
        for number, batch in enumerate(self._source.epoch(epoch, first_batch), start=first_batch):
            images = pixel_values(batch.windows[:, 0])
            if self._max_shift:
                state = np.random.SeedSequence([self._seed, epoch, number]).generate_state(1, np.uint64)
                generator = torch.Generator().manual_seed(int(state[0] >> 1))
                images = jitter(images, self._shape, self._max_shift, generator)
            yield Batch(images[:, None], batch.targets)


def moved_view(images: Tensor, shape: tuple[int, int], max_shift: int, block: str, view: int) -> Tensor:
    """Return the images of a block ``[B, height * width]`` moved as :func:`jitter` does, the same every time.

    Args:
        images: Pixel values.
        shape: Height and width.
        max_shift: In pixels.
        block: Name of the block.
        view: Number of the view; 0 is the images themselves.
    """
    if view == 0:
        return images
    generator = torch.Generator().manual_seed(view_seed(block, view, seed=0) >> 65)
    return jitter(images, shape, max_shift, generator)


def jitter(images: Tensor, shape: tuple[int, int], max_shift: int, generator: torch.Generator) -> Tensor:
    """Return every image moved by whole pixels, drawn evenly from ``-max_shift`` to ``max_shift`` each way.

    Args:
        images: ``[B, height * width]``.
        shape: Height and width.
        max_shift: In pixels.
        generator: Of the random numbers.

    Returns:
        ``[B, height * width]``; pixels that come from outside are 0.
    """
    height, width = shape
    padded = torch.nn.functional.pad(images.view(-1, height, width), (max_shift,) * 4)
    wide = width + 2 * max_shift
    first = torch.randint(2 * max_shift + 1, (2, len(images), 1), generator=generator)
    pixels = (torch.arange(height)[:, None] * wide + torch.arange(width)).flatten()  # [height * width]
    return padded.flatten(1).gather(1, pixels + first[0] * wide + first[1])
