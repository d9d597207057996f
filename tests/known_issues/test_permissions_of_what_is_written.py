"""Weights could be read by their owner alone, and all other files could be executed."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from asr_kd.align.gmm import DiagGmm
from asr_kd.atomic import write_json
from asr_kd.data.frame_store import FrameStoreWriter
from asr_kd.data.shards import ShardWriter
from asr_kd.train.checkpoint import save_best
from tests.support.smallest_model import save_smallest_model


@pytest.fixture(params=[0o022, 0o007])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_are_those_of_any_new_file(tmp_path: Path, umask: int) -> None:
    save_smallest_model(tmp_path / "model")
    DiagGmm(np.ones(1), np.zeros((1, 1)), np.ones((1, 1)), np.array([0, 1])).save(tmp_path / "gmm")
    save_best(tmp_path, 1, {"w": torch.zeros(1)})
    write_json(tmp_path / "facts.json", {})
    with ShardWriter(tmp_path / "a.tar") as shard:
        shard.add("u", {"x": b"1"})
    (tmp_path / "store").mkdir()
    with FrameStoreWriter(tmp_path / "store", "float32", ()):
        pass
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 8
    modes = {path.name: oct(stat.S_IMODE(path.stat().st_mode)) for path in files}
    assert modes == dict.fromkeys(modes, oct(0o666 & ~umask))
