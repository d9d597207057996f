"""Faults that were found in review, each with the test that showed it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from asr_kd.data.frame_store import FRAMES_FILE, INDEX_FILE, FrameStore, FrameStoreWriter
from asr_kd.data.windows import ContextWindow, FramePool
from asr_kd.errors import AsrKdError, ConfigError
from asr_kd.fingerprint import fingerprint
from asr_kd.report.cells import points
from asr_kd.score.significance import Difference
from asr_kd.train.config import TrainConfig


def _stored(folder: Path) -> Path:
    folder.mkdir()
    with FrameStoreWriter(folder, "float32", (3,)) as writer:
        writer.add("a", np.ones((5, 3), dtype=np.float32))
    return folder


def test_fingerprint_refused_nothing_and_took_the_address_of_objects() -> None:
    for value in ({"a", "b"}, object()):
        with pytest.raises(TypeError):
            fingerprint({"value": value})


def test_truncated_frames_gave_a_bare_error_of_numpy(tmp_path: Path) -> None:
    folder = _stored(tmp_path / "store")
    path = folder / FRAMES_FILE
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(AsrKdError, match="store: stored frames are damaged"):
        FrameStore(folder)


def test_damaged_index_gave_a_bare_error_of_json(tmp_path: Path) -> None:
    folder = _stored(tmp_path / "store")
    (folder / INDEX_FILE).write_text("{")
    with pytest.raises(AsrKdError, match="store: stored frames are damaged"):
        FrameStore(folder)


def test_frames_were_cast_silently(tmp_path: Path) -> None:
    with (
        pytest.raises(AsrKdError, match="frames of another type"),
        FrameStoreWriter(tmp_path, "int32", ()) as writer,
    ):
        writer.add("a", np.array([1.7, np.nan]))


def test_pool_without_utterances_gave_a_bare_error_of_torch() -> None:
    with pytest.raises(AsrKdError, match="no utterances"):
        FramePool([], {}, ContextWindow())


def test_difference_of_nothing_was_printed_as_minus_zero() -> None:
    assert points(Difference(-0.0, -0.0, 0.0, 1.0)) == "0.00 points [0.00, 0.00]"


@pytest.mark.parametrize("name", ["cuda:77", "nowhere"])
def test_a_device_that_is_not_there_gave_a_traceback_of_torch(name: str) -> None:
    config = TrainConfig(device=name)
    with pytest.raises(
        ConfigError, match=f"no device {name} is usable here: .*, got {name}; leave the device out"
    ):
        config.torch_device()
