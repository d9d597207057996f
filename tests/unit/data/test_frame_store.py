"""Frames on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from asr_kd.data.frame_store import FRAMES_FILE, FrameStore, FrameStoreWriter
from asr_kd.errors import AsrKdError


def _write(folder: Path, utterances: dict[str, np.ndarray]) -> FrameStore:
    with FrameStoreWriter(folder, "float32", (2,), {"frontend": "abc"}) as writer:
        for utt_id, frames in utterances.items():
            writer.add(utt_id, frames)
    return FrameStore(folder)


def test_frames_come_back_by_utt_id_in_stored_order(tmp_path: Path) -> None:
    z = np.array([[1, 2], [3, 4], [5, 6]], dtype=np.float32)
    a = np.array([[7, 8]], dtype=np.float32)
    store = _write(tmp_path, {"z": z, "a": a})
    assert store.utt_ids == ["z", "a"]
    assert len(store) == 2
    assert store.meta == {"frontend": "abc"}
    assert store.get("z").tolist() == z.tolist()
    assert store.get("a").tolist() == a.tolist()
    assert store.span("a") == (3, 4)
    assert store.frames.dtype == np.float32
    assert {utt_id: frames.tolist() for utt_id, frames in store.items()} == {"z": z.tolist(), "a": a.tolist()}
    assert "z" in store
    assert "b" not in store


def test_the_file_is_plain_npy_and_is_read_through_memory_mapping(tmp_path: Path) -> None:
    store = _write(tmp_path, {"u": np.ones((4, 2), dtype=np.float32)})
    assert isinstance(store.frames, np.memmap)
    assert np.load(tmp_path / FRAMES_FILE, allow_pickle=False).tolist() == [[1, 1]] * 4
    assert not store.frames.flags.writeable


def test_alignments_are_one_number_a_frame(tmp_path: Path) -> None:
    with FrameStoreWriter(tmp_path, "int32", ()) as writer:
        writer.add("u", np.array([5, 5, 7]))
        writer.add("v", np.array([2]))
    store = FrameStore(tmp_path)
    assert store.get("u").tolist() == [5, 5, 7]
    assert store.get("v").tolist() == [2]
    assert store.frames.dtype == np.int32


def test_the_header_grows_with_the_number_of_frames(tmp_path: Path) -> None:
    with FrameStoreWriter(tmp_path, "int32", ()) as writer:
        for number in range(1000):
            writer.add(str(number), np.full(123, number))
    store = FrameStore(tmp_path)
    assert store.frames.shape == (123_000,)
    assert set(store.get("999").tolist()) == {999}


def test_an_utterance_without_frames_is_kept(tmp_path: Path) -> None:
    store = _write(tmp_path, {"empty": np.empty((0, 2)), "u": np.ones((1, 2))})
    assert store.get("empty").shape == (0, 2)
    assert store.span("u") == (0, 1)


def test_no_utterances_make_an_empty_store(tmp_path: Path) -> None:
    store = _write(tmp_path, {})
    assert len(store) == 0
    assert store.frames.shape == (0, 2)


def test_frames_of_another_width_and_doubled_utterances_are_refused(tmp_path: Path) -> None:
    with FrameStoreWriter(tmp_path, "float32", (2,)) as writer:
        writer.add("u", np.zeros((3, 2)))
        with pytest.raises(AsrKdError, match=r"v: frames of another shape; expected \(2,\), got \(3,\)"):
            writer.add("v", np.zeros((3, 3)))
        with pytest.raises(AsrKdError, match="u: utt_id stored twice"):
            writer.add("u", np.zeros((3, 2)))
    assert FrameStore(tmp_path).utt_ids == ["u"]


def test_an_unknown_utterance_is_named(tmp_path: Path) -> None:
    store = _write(tmp_path, {"u": np.zeros((1, 2))})
    with pytest.raises(AsrKdError, match="nobody: no frames"):
        store.get("nobody")


def test_a_store_that_was_not_finished_is_refused(tmp_path: Path) -> None:
    def write_half() -> None:
        with FrameStoreWriter(tmp_path, "float32", (2,)) as writer:
            writer.add("u", np.zeros((3, 2)))
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_half()
    with pytest.raises(AsrKdError, match="no frames are stored here"):
        FrameStore(tmp_path)


def test_an_index_of_other_frames_is_refused(tmp_path: Path) -> None:
    for name, count in (("one", 3), ("two", 4)):
        (tmp_path / name).mkdir()
        _write(tmp_path / name, {"u": np.zeros((count, 2))})
    (tmp_path / "one" / FRAMES_FILE).write_bytes((tmp_path / "two" / FRAMES_FILE).read_bytes())
    with pytest.raises(AsrKdError, match="index and frames disagree; expected 3 frames, got 4"):
        FrameStore(tmp_path / "one")
