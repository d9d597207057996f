"""Batches from parts of a corpus: every frame once, joined by utt_id, whether all fits in memory or not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from asr_kd.data.block_source import StoreSource
from asr_kd.data.frame_store import FrameStore, FrameStoreWriter
from asr_kd.data.windows import ContextWindow
from asr_kd.errors import AsrKdError

LENGTHS = {"a": 70_000, "b": 3, "c": 41_000, "d": 900}
WINDOW = ContextWindow(1, 1)


def _stores(folder: Path, skip: str = "") -> tuple[FrameStore, FrameStore]:
    """Features and targets of each frame both tell its utterance and time; targets stand in another order."""
    for name, dtype, shape in (("features", "float32", (2,)), ("pdf_ids", "int32", ())):
        (folder / name).mkdir()
        with FrameStoreWriter(folder / name, dtype, shape) as writer:
            order = LENGTHS if name == "features" else reversed(LENGTHS)
            for utt_id in order:
                times = np.arange(LENGTHS[utt_id] - (name == "pdf_ids" and utt_id == skip))
                number = ord(utt_id) * 1_000_000
                frames = np.stack([np.full(len(times), ord(utt_id)), times], axis=1)
                writer.add(utt_id, frames.astype(np.float32) if shape else (number + times).astype(np.int32))
    return FrameStore(folder / "features"), FrameStore(folder / "pdf_ids")


@pytest.mark.parametrize("pool_frames", [10_000_000, 60_000])
def test_every_frame_once_with_its_own_target(tmp_path: Path, pool_frames: int) -> None:
    features, pdf_ids = _stores(tmp_path)
    source = StoreSource(features, {"pdf_ids": pdf_ids}, list(LENGTHS), 1000, WINDOW, pool_frames, seed=3)
    assert source.num_frames == sum(LENGTHS.values())
    seen = []
    for batch in source.epoch(0):
        centre = batch.windows[:, 1]  # [B, D]
        told = centre[:, 0].long() * 1_000_000 + centre[:, 1].long()
        assert (told == batch.targets["pdf_ids"]).all()
        # A window never crosses an utterance.
        assert (batch.windows[:, :, 0] == centre[:, :1]).all()
        seen.append(batch.targets["pdf_ids"].numpy())
    assert len(seen) == source.batches_per_epoch
    everything = np.concatenate(seen)
    expected = np.concatenate([ord(u) * 1_000_000 + np.arange(n) for u, n in LENGTHS.items()])
    assert np.array_equal(np.sort(everything), np.sort(expected))
    # Shuffled: neighbours in the epoch are seldom neighbours in time.
    assert (np.abs(np.diff(everything)) == 1).mean() < 0.01


@pytest.mark.parametrize("pool_frames", [10_000_000, 60_000])
def test_epochs_differ_and_resume_in_the_middle(tmp_path: Path, pool_frames: int) -> None:
    features, pdf_ids = _stores(tmp_path)
    source = StoreSource(features, {"pdf_ids": pdf_ids}, list(LENGTHS), 1000, WINDOW, pool_frames, seed=3)
    first = [batch.targets["pdf_ids"] for batch in source.epoch(0)]
    again = [batch.targets["pdf_ids"] for batch in source.epoch(0, first_batch=40)]
    assert all((a == b).all() for a, b in zip(first[40:], again, strict=True))
    other = next(iter(source.epoch(1))).targets["pdf_ids"]
    assert not (other == first[0]).all()


def test_frames_that_do_not_join_name_the_utterance(tmp_path: Path) -> None:
    features, pdf_ids = _stores(tmp_path, skip="c")
    with pytest.raises(
        AsrKdError, match=r"c: features and targets differ.*41000 of features, 40999 of pdf_ids"
    ):
        StoreSource(features, {"pdf_ids": pdf_ids}, list(LENGTHS), 1000, WINDOW, 10_000)
