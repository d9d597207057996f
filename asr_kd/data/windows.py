"""Context windows cut from contiguous frames, and seeded batches of them.

Frames are kept once, ``[N, D]``; a window is gathered when a batch needs it, so that the 26 frames of
the paper's input do not cost 26 times the memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from asr_kd.errors import AsrKdError

NO_LABEL = -1
"""The pdf_id of a frame without a hard label, such as one of transfer audio."""


@dataclass(frozen=True)
class ContextWindow:
    """How many frames an acoustic model sees around the one that it classifies.

    Source: Hinton, Vinyals & Dean 2015, section 4: 26 frames, the state of the 21st is predicted.
    """

    left: int = 20
    right: int = 5

    def __post_init__(self) -> None:
        if self.left < 0 or self.right < 0:
            raise AsrKdError("a context window needs left and right of at least 0", got=self)

    @property
    def width(self) -> int:
        """Number of frames W in a window."""
        return self.left + 1 + self.right


@dataclass(frozen=True)
class Batch:
    """Windows and what is to be learnt about their centre frames.

    Attributes:
        windows: ``[B, W, D]``.
        targets: Tensors ``[B, ...]`` by name, such as ``pdf_ids``.
    """

    windows: Tensor
    targets: Mapping[str, Tensor]

    def __len__(self) -> int:
        return len(self.windows)


class BatchSource(Protocol):
    """What the training loop reads: a new seeded order of all frames in every epoch."""

    @property
    def num_frames(self) -> int:
        """Frames in one epoch."""

    @property
    def batches_per_epoch(self) -> int:
        """Batches in one epoch."""

    def epoch(self, epoch: int, first_batch: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch from ``first_batch`` on; the same ones for the same epoch."""


class FramePool:
    """Whole utterances' frames in memory, with targets, from which windows are gathered.

    Args:
        features: One ``[T, D]`` an utterance.
        targets: For each name one tensor ``[T, ...]`` an utterance.
        window: Context; it never crosses an utterance's edge, where the edge frame is repeated.

    Attributes:
        device: Of features and targets, and so of the batches.
    """

    def __init__(
        self,
        features: Sequence[Tensor],
        targets: Mapping[str, Sequence[Tensor]],
        window: ContextWindow,
    ) -> None:
        if not features:
            raise AsrKdError("no utterances to take frames from")
        self.device = features[0].device
        lengths = [len(frames) for frames in features]
        for name, values in targets.items():
            if [len(value) for value in values] != lengths:
                raise AsrKdError(f"{name} and features differ in their number of frames")
        self.targets = {name: torch.cat(list(values)) for name, values in targets.items()}
        self.window = window
        self._num_frames = sum(lengths)
        padded = _padded(features, window)
        # Row i is the window that begins at i, without a copy: rows overlap.
        num_places = max(0, len(padded) - window.width + 1)
        dim = padded.shape[1]
        self._windows = padded.as_strided((num_places, window.width * dim), (dim, 1))
        # Rows before each utterance that stand for no frame.
        pads = (window.width - 1) * (np.cumsum(np.array(lengths) > 0) - 1)
        begins = torch.from_numpy(np.arange(self._num_frames) + np.repeat(pads, lengths))
        self._begins = begins.to(self.device)

    def __len__(self) -> int:
        return self._num_frames

    def gather(self, frames: Tensor) -> Batch:
        """Return the windows and targets of frames ``[B]``, given by their index, on the pool's device."""
        flat = self._windows.index_select(0, self._begins.index_select(0, frames))  # [B, W * D]
        # Not -1: a rank's share of a small batch may hold no frame.
        windows = flat.reshape(len(frames), self.window.width, flat.shape[1] // self.window.width)
        return Batch(windows, {name: values.index_select(0, frames) for name, values in self.targets.items()})


def _padded(features: Sequence[Tensor], window: ContextWindow) -> Tensor:
    """Return all frames with each utterance's edge frames repeated as often as a window may need them."""
    parts: list[Tensor] = []
    for frames in features:
        # An utterance without frames has no edge to repeat.
        parts += [frames[:1].expand(window.left, -1), frames] if len(frames) else [frames]
        parts.append(frames[-1:].expand(window.right, -1) if len(frames) else frames)
    return torch.cat(parts)


def utterance_windows(features: Tensor, window: ContextWindow) -> Tensor:
    """Return the windows of all frames of one utterance as a view-sized gather.

    Args:
        features: ``[T, D]``.
        window: The context.

    Returns:
        ``[T, W, D]``.
    """
    frames = torch.arange(len(features))[:, None] + torch.arange(-window.left, window.right + 1)
    return features[frames.clamp(0, len(features) - 1)]
