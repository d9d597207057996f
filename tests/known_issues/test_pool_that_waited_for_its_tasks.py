"""A run that was ended waited for what its pool of processes was at, until the batch system lost patience."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from asr_kd.align.pool import worker_pool

_SECONDS = 60.0


def _make_sleeper() -> Callable[[str], str]:
    def sleep(path: str) -> str:
        Path(path).touch()
        time.sleep(_SECONDS)
        return path

    return sleep


def _interrupted_run(begun: Path) -> None:
    def tasks() -> Iterator[str]:
        yield str(begun)
        while not begun.exists():
            time.sleep(0.05)
        raise KeyboardInterrupt

    with worker_pool(2, _make_sleeper) as run:
        list(run(tasks()))


def test_ends_at_once(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        _interrupted_run(tmp_path / "begun")
    assert time.time() - (tmp_path / "begun").stat().st_mtime < _SECONDS / 2
