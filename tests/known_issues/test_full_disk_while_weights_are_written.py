"""A disk that was full while weights were written gave a traceback of torch or safetensors, not that word."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from asr_kd.atomic import plain_errors
from asr_kd.train.checkpoint import load_best, save_best
from tests.support.full_disk import files_end_early

WEIGHTS = {"w": torch.zeros(10_000)}


def test_is_an_error_of_the_system(tmp_path: Path) -> None:
    with files_end_early(), pytest.raises(OSError, match="File too large"):
        save_best(tmp_path, 1, WEIGHTS)
    path = tmp_path / "weights"
    with files_end_early(), pytest.raises(OSError, match="File too large"), plain_errors(path):
        save_file({"w": np.zeros(10_000, np.float32)}, path)
    assert list(tmp_path.glob(".*")) == []


def test_another_error_stays(tmp_path: Path) -> None:
    save_best(tmp_path, 1, WEIGHTS)
    assert torch.equal(load_best(tmp_path, 1)["w"], WEIGHTS["w"])
    with pytest.raises(RuntimeError, match="mine"), plain_errors(tmp_path / "best-0001.pt"):
        raise RuntimeError("mine")
