"""Context windows cut from contiguous frames, and seeded batches of them.

Frames are kept once, ``[N, D]``; a window is gathered when a batch needs it, so that the 26 frames of
the paper's input do not cost 26 times the memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from asr_kd.errors import AsrKdError


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
    """

    def __init__(
        self,
        features: Sequence[Tensor],
        targets: Mapping[str, Sequence[Tensor]],
        window: ContextWindow,
    ) -> None:
        if not features:
            raise AsrKdError("no utterances to take frames from")
        lengths = torch.tensor([len(frames) for frames in features])
        for name, values in targets.items():
            if [len(value) for value in values] != lengths.tolist():
                raise AsrKdError(f"{name} and features differ in their number of frames")
        ends = lengths.cumsum(0)
        self.features = torch.cat(list(features))
        self.targets = {name: torch.cat(list(values)) for name, values in targets.items()}
        self.window = window
        self._first = (ends - lengths).repeat_interleave(lengths).to(torch.int32)
        self._last = (ends - 1).repeat_interleave(lengths).to(torch.int32)
        self._offsets = torch.arange(-window.left, window.right + 1, dtype=torch.int32)

    def __len__(self) -> int:
        return len(self.features)

    def gather(self, frames: Tensor) -> Batch:
        """Return the windows and targets of frames, given by their index in the pool ``[B]``."""
        index = frames.to(torch.int32)[:, None] + self._offsets  # [B, W]
        index = index.clamp(self._first[frames][:, None], self._last[frames][:, None])
        flat = self.features.index_select(0, index.reshape(-1))  # [B * W, D]
        windows = flat.reshape(len(frames), self.window.width, self.features.shape[1])
        return Batch(windows, {name: values[frames] for name, values in self.targets.items()})


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
