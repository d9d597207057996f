"""Mapping over items in threads or processes, in their order, with a bounded number under way."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_in_order(
    executor: Executor, function: Callable[[Item], Result], items: Iterable[Item], num_in_flight: int
) -> Iterator[Result]:
    """Yield a function's result for each item; items are read no further ahead than is under way.

    Args:
        executor: Calls the function.
        function: Of one item.
        items: In the order of the results.
        num_in_flight: Calls that are under way or done and not yet taken.
    """
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(executor.submit(function, item))
            if len(waiting) >= num_in_flight:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
