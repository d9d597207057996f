from __future__ import annotations

import os

import pytest
import torch

from asr_kd.errors import ModelError
from asr_kd.train.parallel import run_side_by_side


def _facts(number: int) -> tuple[int, int, int]:
    return number * number, os.getpid(), torch.get_num_threads()


def _fail(number: int) -> int:
    if number == 2:
        raise ModelError("the loss is not finite", where="net-2", hint="lower the rate")
    return number


def test_results_keep_their_order_and_processes_share_the_cores() -> None:
    results = run_side_by_side(_facts, [(1,), (2,), (3,)], jobs=2)
    assert [result[0] for result in results] == [1, 4, 9]
    assert os.getpid() not in {result[1] for result in results}
    assert {result[2] for result in results} == {max(1, (os.cpu_count() or 1) // 2)}


def test_one_job_stays_in_this_process() -> None:
    assert {result[1] for result in run_side_by_side(_facts, [(1,), (2,)], jobs=1)} == {os.getpid()}


def test_error_of_a_net_keeps_its_line() -> None:
    with pytest.raises(ModelError, match=r"^net-2: the loss is not finite; lower the rate$"):
        run_side_by_side(_fail, [(1,), (2,), (3,)], jobs=2)
