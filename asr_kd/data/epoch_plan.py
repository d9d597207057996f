"""Which frames are in which batch of an epoch, from the counts of frames alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from asr_kd.errors import AsrKdError


@dataclass(frozen=True)
class PartSpan:
    """Frames of a part of the corpus: the part's number, first frame and one past the last frame."""

    part: int
    first: int
    last: int


@dataclass(frozen=True)
class Block:
    """Consecutive batches whose frames are in memory, and shuffled, together.

    Attributes:
        first_batch: Of the epoch.
        batch_sizes: Frames of each batch.
        spans: The frames.
    """

    first_batch: int
    batch_sizes: tuple[int, ...]
    spans: tuple[PartSpan, ...]


class EpochPlan:
    """The frames of a corpus's parts, in some order of the parts, dealt out to streams, blocks and batches.

    The frames stand in one line; stream s takes the s-th of N even pieces, whatever parts its borders cut.
    All streams have the same number of batches, whose sizes differ by one at most; no frame is left over.

    Args:
        part_frames: Frames of each part.
        batch_size: Most frames of a batch.
        block_frames: Most frames of a block, though never less than a batch.
        stream: Of this plan.
        num_streams: Number of streams N.
    """

    def __init__(
        self,
        part_frames: Sequence[int],
        batch_size: int,
        block_frames: int,
        stream: int = 0,
        num_streams: int = 1,
    ) -> None:
        total = sum(part_frames)
        if batch_size < 1 or not 0 <= stream < num_streams or total < num_streams:
            raise AsrKdError(
                "batches need a size of at least 1 and a frame for each stream",
                got=f"size {batch_size}, stream {stream} of {num_streams}, {total} frames",
            )
        self._part_frames = np.asarray(part_frames, dtype=np.int64)
        self._first_frame = total * stream // num_streams
        self.num_frames = total * (stream + 1) // num_streams - self._first_frame
        most = -(-total // num_streams)
        # No batch is empty, even in a stream that has one frame less than others.
        self.num_batches = min(-(-most // batch_size), total // num_streams)
        per_block = max(1, block_frames // batch_size)
        self.num_blocks = -(-self.num_batches // per_block)

    def block_of(self, batch: int) -> int:
        """Return the block that holds a batch."""
        return ((batch + 1) * self.num_blocks - 1) // self.num_batches

    def block(self, number: int, part_order: Sequence[int]) -> Block:
        """Return a block; ``part_order`` is the epoch's permutation of the parts."""
        first_batch = self.num_batches * number // self.num_blocks
        last_batch = self.num_batches * (number + 1) // self.num_blocks
        edges = [self.first_frame(batch) for batch in range(first_batch, last_batch + 1)]
        sizes = tuple(after - before for before, after in pairwise(edges))
        return Block(first_batch, sizes, self._spans(edges[0], edges[-1], part_order))

    def first_frame(self, batch: int) -> int:
        """Return where a batch begins in the line of all streams' frames."""
        return self._first_frame + self.num_frames * batch // self.num_batches

    def _spans(self, first: int, last: int, part_order: Sequence[int]) -> tuple[PartSpan, ...]:
        ends = self._part_frames[list(part_order)].cumsum()
        spans = []
        for place in range(int(np.searchsorted(ends, first, side="right")), len(ends)):
            start = int(ends[place] - self._part_frames[part_order[place]])
            if start >= last:
                break
            spans.append(
                PartSpan(part_order[place], max(first, start) - start, min(last, int(ends[place])) - start)
            )
        return tuple(span for span in spans if span.last > span.first)
