"""A net that failed was noticed only when all nets before it in the list had been trained."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest

from asr_kd.train import parallel


class _Unfinished(Future[int]):
    """Of a net that is still trained."""

    def result(self, timeout: float | None = None) -> int:
        raise AssertionError("waited for a net that is still trained")


def _failed() -> Future[int]:
    future: Future[int] = Future()
    future.set_exception(ValueError("the loss is not finite"))
    return future


class _Pool:
    """Stands for the processes: the second net fails while the first one is still trained."""

    last: _Pool

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        self.futures = iter([_Unfinished(), _failed()])
        self.is_shut_down = False
        _Pool.last = self

    def __enter__(self) -> _Pool:
        return self

    def __exit__(self, *error: object) -> None: ...

    def submit(self, function: Callable[..., int], *arguments: Any) -> Future[int]:
        return next(self.futures)

    def shutdown(self, wait: bool, cancel_futures: bool) -> None:
        self.is_shut_down = cancel_futures and not wait


def test_ends_the_run_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "ProcessPoolExecutor", _Pool)
    with pytest.raises(ValueError, match="the loss is not finite"):
        parallel.run_side_by_side(int, [(1,), (2,)], 2)
    assert _Pool.last.is_shut_down
