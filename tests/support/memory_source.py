"""Training frames that the tests make: the smallest source that the training loop can read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from asr_kd.data.block_source import BlockSource, Frames
from asr_kd.data.windows import ContextWindow


class MemorySource(BlockSource):
    """Batches of utterances in memory, each a part of its own; see :class:`BlockSource`."""

    def __init__(
        self,
        features: Sequence[Tensor],
        targets: Mapping[str, Sequence[Tensor]],
        batch_size: int,
        window: ContextWindow,
        pool_frames: int = 1_000_000,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        num_streams: int = 1,
    ) -> None:
        self._utterances: list[Frames] = [
            {"features": frames, **{name: values[number] for name, values in targets.items()}}
            for number, frames in enumerate(features)
        ]
        counts = [len(frames) for frames in features]
        super().__init__(counts, batch_size, window, pool_frames, seed, rank, world_size, num_streams)

    def _read(self, part: int) -> list[Frames]:
        return [self._utterances[part]]
