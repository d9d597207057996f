"""Runs independent work side by side: one thread a net keeps a CPU busier than all on one small net."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, wait
from typing import Any, TypeVar

import torch

from asr_kd.parent_process import end_with, ends_on_error
from asr_kd.progress import use_plain_lines
from asr_kd.train import distributed
from asr_kd.train.launcher import cluster

Result = TypeVar("Result")


def usable_cores() -> int:
    """Return how many cores this process may use: under ``taskset`` or a batch system not all of them."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def default_jobs(num_tasks: int) -> int:
    """Return how many nets to train at a time: one on a GPU or on several ranks, else about one a core.

    Those that would be left over for a last round, with cores idle, share the cores of the first: three nets
    on two cores take the time of one and a half, not of two.
    """
    if torch.cuda.is_available() or distributed.world_size() > 1:
        return 1
    cores = usable_cores()
    return max(1, min(num_tasks, cores + num_tasks % cores))


def run_side_by_side(
    function: Callable[..., Result], arguments: Sequence[tuple[Any, ...]], jobs: int | None = None
) -> list[Result]:
    """Call a function that trains once for each tuple of arguments, in processes here or on the cluster.

    Args:
        function: Of a module's top level; it and its arguments are sent to the processes.
        arguments: One tuple a call.
        jobs: Calls at a time; None takes :func:`default_jobs`, 1 stays in this process, as ranks do.

    Returns:
        The results in the order of the arguments.
    """
    if (farm := cluster()) is not None:
        return farm.run(function, arguments, with_gpu=True)
    if jobs is None or distributed.world_size() > 1:
        jobs = default_jobs(len(arguments))
    jobs = min(jobs, len(arguments))
    if jobs <= 1:
        return [function(*each) for each in arguments]
    threads = max(1, min(usable_cores() // jobs, torch.get_num_threads()))  # as OMP_NUM_THREADS has it
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, context, initializer=_prepare, initargs=(threads, os.getpid())) as pool:
        futures = [pool.submit(function, *each) for each in arguments]
        with ends_on_error(pool):  # The others need not be waited for: they go on from their checkpoints.
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            # Of all calls, unless one failed: its error is raised here.
            return [future.result() for future in futures if future in done]


def run_in_turn(
    function: Callable[..., Result], arguments: Sequence[tuple[Any, ...]], cores: int
) -> list[Result]:
    """Call a function with processes of its own for each tuple of arguments, here or on the cluster.

    Args:
        function: Of a module's top level, or a method of an object that can be sent to another process.
        arguments: One tuple a call.
        cores: That a call keeps busy.

    Returns:
        The results in the order of the arguments.
    """
    if (farm := cluster()) is not None:
        return farm.run(function, arguments, cores)
    return [function(*each) for each in arguments]


def _prepare(threads: int, parent: int) -> None:
    end_with(parent)
    torch.set_num_threads(threads)
    # Bars of several processes would overwrite each other.
    use_plain_lines()
