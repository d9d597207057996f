"""Nets side by side took the cores' threads whatever OMP_NUM_THREADS said."""

from __future__ import annotations

import pytest
import torch

from asr_kd.train import parallel


def _threads(_: int) -> int:
    return torch.get_num_threads()


def test_nets_side_by_side_take_no_more_threads_than_they_were_allowed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(parallel, "usable_cores", lambda: 8)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)  # as OMP_NUM_THREADS=3 has it
    assert parallel.run_side_by_side(_threads, [(0,), (1,)], jobs=2) == [3, 3]
    assert parallel.run_side_by_side(_threads, [(0,), (1,), (2,), (3,)], jobs=4) == [2] * 4
