"""Progress with rate and time left: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Item = TypeVar("Item")

_SECONDS_BETWEEN_LINES = 15.0


_plain_lines = False
_silent = False
_is_drawn = False


def use_plain_lines() -> None:
    """Print lines even on a terminal, for processes that share it with others."""
    global _plain_lines  # noqa: PLW0603  # one terminal a process
    _plain_lines = True


def be_silent() -> None:
    """Say nothing from now on, in a process whose work another one tells of."""
    global _silent  # noqa: PLW0603  # one voice a process
    _silent = True
    use_plain_lines()


def say(message: str) -> None:
    """Print one line for the user to standard error."""
    if _silent:
        return
    print(message, file=sys.stderr, flush=True)


class Meter:
    """Counts work done and shows rate and ETA; see :func:`progress`."""

    def __init__(self, what: str, total: int | None, unit: str) -> None:
        self._what = what
        self._total = total
        self._unit = unit
        self._done = 0
        self._start = time.monotonic()
        self._last_line = self._start
        self._note = ""

    def advance(self, amount: int = 1, note: str = "") -> None:
        """Add ``amount`` to what is done; ``note`` replaces the text at the end of the line."""
        self._done += amount
        self._note = note or self._note
        self._show()

    def _show(self) -> None:
        now = time.monotonic()
        if now - self._last_line >= _SECONDS_BETWEEN_LINES:
            self._last_line = now
            say(self.line())

    def line(self) -> str:
        """Return the state as one line of text."""
        elapsed = max(time.monotonic() - self._start, 1e-9)
        rate = self._done / elapsed
        text = f"{self._what}: {self._done:,}"
        if self._total:
            left = (self._total - self._done) / rate if rate else float("inf")
            text += f" of {self._total:,} {self._unit}, {_rate(rate)}/s, {_clock(left)} left"
        else:
            text += f" {self._unit}, {_rate(rate)}/s"
        return f"{text}, {self._note}" if self._note else text

    def finish(self) -> None:
        """Say a last line when the work was long enough for earlier ones."""
        if self._last_line != self._start:
            say(f"{self.line()}, took {_clock(time.monotonic() - self._start)}")


class _BarMeter(Meter):
    """A meter drawn with rich on a terminal."""

    def __init__(self, what: str, total: int | None, unit: str, console: Console) -> None:
        super().__init__(what, total, unit)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=console,
            transient=True,
            # What is printed goes above the bar on a terminal; into a file or pipe it goes as it is.
            redirect_stdout=sys.stdout.isatty(),
        )
        self._task = self._progress.add_task(what, total=total, rate="", note="")
        self._progress.start()

    def _show(self) -> None:
        elapsed = max(time.monotonic() - self._start, 1e-9)
        rate = f"{_rate(self._done / elapsed)} {self._unit}/s"
        self._progress.update(self._task, completed=self._done, rate=rate, note=self._note)

    def finish(self) -> None:
        self._progress.stop()


@contextmanager
def progress(what: str, total: int | None = None, unit: str = "items") -> Iterator[Meter]:
    """Yield a meter for long work; draw a bar on a terminal, print a line each 15 s elsewhere.

    Within the work that has the bar there is no other one.
    """
    global _is_drawn  # noqa: PLW0603  # one bar a terminal
    draws = sys.stderr.isatty() and not (_plain_lines or _is_drawn)
    meter = _BarMeter(what, total, unit, Console(stderr=True)) if draws else Meter(what, total, unit)
    _is_drawn |= draws
    try:
        yield meter
    finally:
        meter.finish()
        _is_drawn &= not draws


def track(items: Iterable[Item], what: str, total: int | None = None, unit: str = "items") -> Iterator[Item]:
    """Iterate over ``items`` under a progress meter, one step an item."""
    with progress(what, total, unit) as meter:
        for item in items:
            yield item
            meter.advance()


def _rate(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"


def _clock(seconds: float) -> str:
    if seconds == float("inf"):
        return "--:--"
    minutes, rest = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
