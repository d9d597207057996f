"""The first rank removed the best epoch's weights before another one, on a busy core or a slow shared folder,
had read them.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.distributed import HashStore, ProcessGroupGloo

from asr_kd.train import distributed, loop
from tests.support.training_run import run


def test_ranks_wait_for_each_other_when_they_have_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    load_best, wait_for_all = loop.load_best, distributed.wait_for_all

    def load(*arguments: Any) -> Any:
        calls.append("read")
        return load_best(*arguments)

    def wait() -> None:
        calls.append("wait")
        wait_for_all()

    monkeypatch.setattr(loop, "load_best", load)
    monkeypatch.setattr(distributed, "wait_for_all", wait)
    run(tmp_path, "hard", epochs=1)
    assert calls == ["read", "wait"]


class _RanksInThreads:
    """Stands for ``torch.distributed``: each thread is a rank of a real group."""

    def __init__(self) -> None:
        self.store = HashStore()
        self.own = threading.local()

    def join(self, rank: int) -> None:
        self.own.group = ProcessGroupGloo(self.store, rank, 2)

    def is_initialized(self) -> bool:
        return True

    def get_world_size(self) -> int:
        return 2

    def all_reduce(self, tensor: torch.Tensor) -> None:
        self.own.group.allreduce([tensor]).wait()


def test_the_first_rank_waits_for_a_slow_one(monkeypatch: pytest.MonkeyPatch) -> None:
    ranks = _RanksInThreads()
    monkeypatch.setattr(distributed, "dist", ranks)
    calls: list[str] = []

    def slow_rank() -> None:
        ranks.join(1)
        time.sleep(0.1)
        calls.append("read")
        distributed.wait_for_all()

    thread = threading.Thread(target=slow_rank)
    thread.start()
    ranks.join(0)
    distributed.wait_for_all()
    calls.append("removed")
    thread.join()
    assert calls == ["read", "removed"]
