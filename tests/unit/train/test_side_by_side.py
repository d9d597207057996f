from __future__ import annotations

import os

import pytest
import torch

from asr_kd.errors import ModelError
from asr_kd.stages.nets import NetConfig, nets_at_a_time
from asr_kd.train import distributed
from asr_kd.train.config import TrainConfig
from asr_kd.train.parallel import default_jobs, run_side_by_side, usable_cores


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
    assert {result[2] for result in results} == {max(1, usable_cores() // 2)}


def test_one_job_stays_in_this_process() -> None:
    assert {result[1] for result in run_side_by_side(_facts, [(1,), (2,)], jobs=1)} == {os.getpid()}


def test_a_rank_trains_in_its_own_process_whatever_the_recipe_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    assert {result[1] for result in run_side_by_side(_facts, [(1,), (2,)], jobs=2)} == {os.getpid()}


def test_the_fewest_processes_that_a_net_asks_for() -> None:
    nets = [NetConfig(train=TrainConfig(num_processes=number)) for number in (None, 3, 2)]
    assert nets_at_a_time(nets) == 2
    assert nets_at_a_time(nets[:1]) is None
    assert nets_at_a_time([]) is None
    # It is no part of a net: a work folder's models stay valid.
    assert nets[0].model_dump() == nets[1].model_dump()


def test_error_of_a_net_keeps_its_line() -> None:
    with pytest.raises(ModelError, match=r"^net-2: the loss is not finite; lower the rate$"):
        run_side_by_side(_fail, [(1,), (2,), (3,)], jobs=2)


@pytest.mark.parametrize(
    ("cores", "nets", "jobs"), [(2, 1, 1), (2, 2, 2), (2, 3, 3), (2, 5, 3), (2, 10, 2), (4, 5, 5), (8, 5, 5)]
)
def test_no_core_waits_for_the_last_nets(
    monkeypatch: pytest.MonkeyPatch, cores: int, nets: int, jobs: int
) -> None:
    monkeypatch.setattr("asr_kd.train.parallel.usable_cores", lambda: cores)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert default_jobs(nets) == jobs


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="a process cannot be bound to a core here")
def test_a_process_bound_to_a_core_trains_one_net_at_a_time() -> None:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert default_jobs(5) == 1
    finally:
        os.sched_setaffinity(0, before)
