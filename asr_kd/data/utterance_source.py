"""Batches of whole utterances, for losses that look at sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from asr_kd.data.frame_store import FrameStore
from asr_kd.data.windows import Batch, ContextWindow, utterance_windows
from asr_kd.errors import AsrKdError

UTTERANCE = "utterance"
"""Target that tells frames of an utterance: its number in the order that the source was given."""


class UtteranceSource:
    """A :class:`~asr_kd.data.windows.BatchSource` whose batches are whole utterances, frame after frame.

    Every epoch has a new seeded order of the utterances; every one is seen once.

    Args:
        features: float32 ``[T, D]`` an utterance.
        alignment: pdf_ids ``[T]`` an utterance, the target ``pdf_ids``.
        utt_ids: The utterances to take.
        batch_size: Frames of a batch on average; at least one utterance.
        window: Context.
        seed: With the epoch it fixes the order.

    Raises:
        AsrKdError: When there is no utterance, or features and alignment differ in their frames.
    """

    def __init__(
        self,
        features: FrameStore,
        alignment: FrameStore,
        utt_ids: Sequence[str],
        batch_size: int,
        window: ContextWindow,
        seed: int = 0,
    ) -> None:
        if not utt_ids:
            raise AsrKdError("no utterances to take frames from")
        self._features = features
        self._alignment = alignment
        self._utt_ids = list(utt_ids)
        self._window = window
        self._seed = seed
        self._num_frames = sum(self._length(utt_id) for utt_id in utt_ids)
        self._per_batch = max(1, round(batch_size * len(utt_ids) / self._num_frames))

    def _length(self, utt_id: str) -> int:
        counts = [
            store.span(utt_id)[1] - store.span(utt_id)[0] for store in (self._features, self._alignment)
        ]
        if counts[0] != counts[1]:
            raise AsrKdError(
                "features and alignment differ in their number of frames",
                where=utt_id,
                expected=counts[0],
                got=counts[1],
            )
        return counts[0]

    @property
    def num_frames(self) -> int:
        """Frames of one epoch."""
        return self._num_frames

    @property
    def batches_per_epoch(self) -> int:
        """Batches in one epoch."""
        return -(-len(self._utt_ids) // self._per_batch)

    def epoch(self, epoch: int, first_batch: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch from ``first_batch`` on."""
        order = np.random.default_rng([self._seed, epoch]).permutation(len(self._utt_ids))
        for first in range(first_batch * self._per_batch, len(order), self._per_batch):
            yield self._batch(order[first : first + self._per_batch].tolist())

    def _batch(self, numbers: list[int]) -> Batch:
        windows, pdf_ids, utterances = [], [], []
        for number in numbers:
            utt_id = self._utt_ids[number]
            # The stores are read-only memory maps, which torch does not accept.
            features = torch.from_numpy(np.array(self._features.get(utt_id)))
            windows.append(utterance_windows(features, self._window))
            pdf_ids.append(torch.from_numpy(np.array(self._alignment.get(utt_id))))
            utterances.append(torch.full((len(features),), number))
        return Batch(torch.cat(windows), {"pdf_ids": torch.cat(pdf_ids), UTTERANCE: torch.cat(utterances)})
