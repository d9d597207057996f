"""Batches of whole utterances."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from asr_kd.data.frame_store import FrameStore, FrameStoreWriter
from asr_kd.data.utterance_source import UTTERANCE, UtteranceSource
from asr_kd.data.windows import ContextWindow
from asr_kd.errors import AsrKdError

LENGTHS = (3, 5, 4, 2, 6)
NAMES = [f"utt{number}" for number in range(len(LENGTHS))]


def stores(folder: Path, longer: int = 0) -> tuple[FrameStore, FrameStore]:
    for name, shape, extra in (("features", (2,), 0), ("alignment", (), longer)):
        (folder / name).mkdir()
        with FrameStoreWriter(folder / name, "float32" if shape else "int32", shape) as writer:
            for number, length in enumerate(LENGTHS):
                frames = np.full((length + extra, *shape), number)
                writer.add(NAMES[number], frames.astype("float32" if shape else "int32"))
    return FrameStore(folder / "features"), FrameStore(folder / "alignment")


def test_every_utterance_is_whole_and_seen_once(tmp_path: Path) -> None:
    source = UtteranceSource(*stores(tmp_path), NAMES, batch_size=8, window=ContextWindow(1, 1))
    assert (source.num_frames, source.batches_per_epoch) == (20, 3)  # two utterances of 4 frames a batch
    batches = list(source.epoch(0))
    assert len(batches) == 3
    seen = np.concatenate([batch.targets[UTTERANCE].numpy() for batch in batches])
    assert [int((seen == number).sum()) for number in range(5)] == list(LENGTHS)
    for batch in batches:
        np.testing.assert_array_equal(batch.targets["pdf_ids"], batch.targets[UTTERANCE])
        # No window reaches into a neighbour.
        np.testing.assert_array_equal(batch.windows[:, 0, 0], batch.targets[UTTERANCE])
        np.testing.assert_array_equal(batch.windows[:, 2, 0], batch.targets[UTTERANCE])


def test_an_epoch_goes_on_where_it_was_and_the_next_is_another(tmp_path: Path) -> None:
    source = UtteranceSource(*stores(tmp_path), NAMES, batch_size=4, window=ContextWindow(0, 0), seed=3)
    order = [batch.targets[UTTERANCE].tolist() for batch in source.epoch(1)]
    assert [batch.targets[UTTERANCE].tolist() for batch in source.epoch(1, 2)] == order[2:]
    assert any(
        [batch.targets[UTTERANCE].tolist() for batch in source.epoch(epoch)] != order for epoch in (2, 3)
    )


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    features, alignment = stores(tmp_path, longer=1)
    with pytest.raises(AsrKdError, match="differ in their number of frames"):
        UtteranceSource(features, alignment, NAMES, 8, ContextWindow())
    with pytest.raises(AsrKdError, match="no utterances"):
        UtteranceSource(features, alignment, [], 8, ContextWindow())
