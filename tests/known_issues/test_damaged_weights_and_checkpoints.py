"""Weights or a checkpoint that were cut short gave a traceback that did not name the file."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import torch

from asr_kd.am.checkpoint import CARD_FILE, WEIGHTS_FILE, load_model
from asr_kd.errors import ModelError
from asr_kd.train.checkpoint import LAST_FILE, load_best, load_state, save_best
from tests.support.smallest_model import save_smallest_model
from tests.support.training_run import Killed, run


def _damaged(content: bytes) -> dict[str, bytes]:
    return {
        "empty": b"",
        "cut short": content[: len(content) // 2],
        "begun": content[:20],
        "other bytes": bytes(len(content)),
    }


def _one_line(path: Path, hint: str) -> str:
    return f"^{re.escape(str(path))}: [^\n]* damaged[^\n]*{hint}$"


def test_damaged_weights_are_named(tmp_path: Path) -> None:
    save_smallest_model(tmp_path)
    path = tmp_path / WEIGHTS_FILE
    for content in _damaged(path.read_bytes()).values():
        path.write_bytes(content)
        with pytest.raises(ModelError, match=_one_line(path, "remove it and run what trained it again")):
            load_model(tmp_path)
    (tmp_path / CARD_FILE).write_bytes(b"\xff")
    with pytest.raises(ModelError, match=f"{CARD_FILE}: malformed"):
        load_model(tmp_path)


def test_so_is_a_damaged_checkpoint_and_training_begins_anew_without_it(tmp_path: Path) -> None:
    whole, _, steps = run(tmp_path / "whole", "hard", epochs=1)
    folder = tmp_path / "broken"
    with pytest.raises(Killed):
        run(folder, "hard", epochs=1, die_at=3, checkpoint_seconds=0)
    path = folder / LAST_FILE
    for content in _damaged(path.read_bytes()).values():
        path.write_bytes(content)
        with pytest.raises(ModelError, match=_one_line(path, "remove its folder: training then begins anew")):
            run(folder, "hard", epochs=1)
    shutil.rmtree(folder)
    again, _, steps_again = run(folder, "hard", epochs=1)
    assert steps_again == steps
    assert all(map(torch.equal, again.state_dict().values(), whole.state_dict().values()))


def test_so_are_damaged_weights_of_the_best_epoch(tmp_path: Path) -> None:
    save_best(tmp_path, 3, {"w": torch.zeros(9)})
    path = tmp_path / "best-0003.pt"
    for content in _damaged(path.read_bytes()).values():
        path.write_bytes(content)
        with pytest.raises(ModelError, match=_one_line(path, "training then begins anew")):
            load_best(tmp_path, 3)


def test_one_that_is_missing_is_an_error_of_the_system(tmp_path: Path) -> None:
    assert load_state(tmp_path, {}) is None
    with pytest.raises(FileNotFoundError, match=r"best-0003\.pt"):
        load_best(tmp_path, 3)
