"""Worker processes that do not outlive the run that started them."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

from asr_kd.errors import StageError

_SECONDS_BETWEEN_LOOKS = 1.0


def end_with(parent: int) -> None:
    """Let this process end when the run that started it is gone, even killed; what it has written stays.

    A pool's own processes would wait for its next task for ever: each holds the writing end of the queue too.

    Args:
        parent: The run's process id.
    """
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


@contextmanager
def ends_on_error(pool: ProcessPoolExecutor) -> Iterator[None]:
    """End a pool and all processes of this run at once when an error is raised: the next run does it again.

    Raises:
        StageError: When one of its processes was killed.
    """
    try:
        yield
    except BrokenProcessPool as error:
        _end(pool)
        raise StageError(
            "a process was killed, most likely because memory ran out",
            hint="run it again to go on, with fewer at a time: train.num_processes, or that of the stage",
        ) from error
    except BaseException:
        _end(pool)
        raise


def _end(pool: ProcessPoolExecutor) -> None:
    pool.shutdown(wait=False, cancel_futures=True)
    for process in multiprocessing.active_children():
        process.terminate()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    os._exit(1)
