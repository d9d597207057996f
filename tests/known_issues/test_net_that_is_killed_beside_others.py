"""A process that was killed for its memory was a traceback without a word of what to do."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest

from asr_kd.align.pool import worker_pool
from asr_kd.errors import StageError
from asr_kd.train.parallel import run_side_by_side

KILLED = r"a process was killed, most likely because memory ran out.*num_processes"


def _killed(number: int) -> int:
    """Return a number, but for 0: what a kernel does that is short of memory."""
    if number == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def _worker() -> Callable[[int], int]:
    return _killed


def test_a_net_ends_the_run_with_what_to_do() -> None:
    with pytest.raises(StageError, match=KILLED):
        run_side_by_side(_killed, [(0,), (1,)], jobs=2)


def test_so_does_a_process_of_the_aligner() -> None:
    with pytest.raises(StageError, match=KILLED), worker_pool(2, _worker) as run:
        list(run([1, 0, 2]))
