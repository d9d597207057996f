"""A pool of light worker processes, or none: the same call either way."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # it ships no types

from asr_kd.in_order import map_in_order
from asr_kd.parent_process import end_with, ends_on_error

Task = TypeVar("Task")
Result = TypeVar("Result")
Worker = Callable[[Task], Result]

_TASKS_IN_FLIGHT = 3

_worker_of_process: dict[str, Callable[[Any], Any]] = {}


@contextmanager
def worker_pool(
    num_processes: int, make_worker: Callable[..., Worker[Task, Result]], *arguments: Any
) -> Iterator[Callable[[Iterable[Task]], Iterator[Result]]]:
    """Yield a function that maps tasks to results, in the order of the tasks.

    Each process makes one worker and keeps it; with one process the worker lives in this one. Only a few
    tasks are under way at a time, so the results do not pile up.

    Args:
        num_processes: 1 or more.
        make_worker: Importable function or class that returns a worker: a function of a task.
        arguments: Of ``make_worker``.
    """
    if num_processes == 1:
        worker = make_worker(*arguments)
        yield lambda tasks: (_run_single_threaded(worker, task) for task in tasks)
        return
    context = multiprocessing.get_context("spawn")
    start = (os.getpid(), make_worker, arguments)
    with (
        ProcessPoolExecutor(num_processes, context, _start_worker, start) as executor,
        ends_on_error(executor),
    ):
        yield lambda tasks: map_in_order(executor, _run_task, tasks, _TASKS_IN_FLIGHT * num_processes)


def _start_worker(
    parent: int, make_worker: Callable[..., Callable[[Any], Any]], arguments: tuple[Any, ...]
) -> None:
    end_with(parent)
    _worker_of_process["worker"] = make_worker(*arguments)


def _run_task(task: Any) -> Any:
    return _run_single_threaded(_worker_of_process["worker"], task)


def _run_single_threaded(worker: Worker[Task, Result], task: Task) -> Result:
    """Keep numpy's BLAS to one thread: the processes share the cores, and sums come out the same bits."""
    with threadpool_limits(limits=1, user_api="blas"):
        return worker(task)
