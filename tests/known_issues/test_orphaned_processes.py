"""A killed run left its processes alive: those of training wrote into the next run's folders, those of the
aligner waited for ever.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

TRAINING = """\
import os, sys, time
from pathlib import Path
from asr_kd.train.parallel import run_side_by_side

def work(folder, number):
    (Path(folder) / f"{number}.pid").write_text(str(os.getpid()))
    time.sleep(60)

if __name__ == "__main__":
    run_side_by_side(work, [(sys.argv[1], 0), (sys.argv[1], 1)], jobs=2)
"""
ALIGNING = """\
import os, sys, time
from pathlib import Path
from asr_kd.align.pool import worker_pool

class Worker:
    def __init__(self, folder):
        self.folder = folder

    def __call__(self, number):
        (Path(self.folder) / f"{number}.pid").write_text(str(os.getpid()))
        time.sleep(3)

if __name__ == "__main__":
    with worker_pool(2, Worker, sys.argv[1]) as run:
        list(run([0, 1]))
"""
REPOSITORY = Path(__file__).resolve().parents[2]


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _wait(condition: Callable[[], bool], seconds: float = 40.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.2)
    return False


@pytest.mark.parametrize("source", [TRAINING, ALIGNING], ids=["training", "aligning"])
def test_processes_end_with_the_run_that_was_killed(tmp_path: Path, source: str) -> None:
    script = tmp_path / "run.py"
    script.write_text(source)
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen([sys.executable, str(script), str(tmp_path)], env=environment) as run:
        files = [tmp_path / f"{number}.pid" for number in (0, 1)]
        assert _wait(lambda: all(file.is_file() and file.read_text() for file in files))
        workers = [int(file.read_text()) for file in files]
        run.send_signal(signal.SIGKILL)
    try:
        assert _wait(lambda: not any(_alive(pid) for pid in workers), 15), "a worker outlived its run"
    finally:
        for pid in workers:
            if _alive(pid):
                os.kill(pid, signal.SIGKILL)
