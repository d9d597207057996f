"""Worker processes that do not outlive the run that started them."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from concurrent.futures import ProcessPoolExecutor

_SECONDS_BETWEEN_LOOKS = 1.0


def end_with(parent: int) -> None:
    """Let this process end when the run that started it is gone, even killed; what it has written stays.

    A pool's own processes would wait for its next task for ever: each holds the writing end of the queue too.

    Args:
        parent: The run's process id.
    """
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def end_pool(pool: ProcessPoolExecutor) -> None:
    """End a pool and all processes of this run at once, with what they are at: the next run does it again."""
    pool.shutdown(wait=False, cancel_futures=True)
    for process in multiprocessing.active_children():
        process.terminate()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    os._exit(1)
