"""Check a frontend's contract on made signals and on recordings, row by row."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from asr_kd.errors import FrontendError
from asr_kd.frontend.compute import prepare_samples, run_extract, run_extract_batch, verify_features
from asr_kd.frontend.loading import load_frontend
from asr_kd.frontend.protocol import BatchFrontend, Frontend, Resampler, Samples, frontend_name
from asr_kd.frontend.signals import made_signals, noise

Rebuild = Callable[[Mapping[str, Any]], Frontend]
"""Makes the frontend once more, with some options changed."""


@dataclass(frozen=True)
class CheckRow:
    """One signal or property that was checked.

    Attributes:
        signal: Its name.
        expected: Number of frames that it has; None for a property.
        got: Number of frames that the frontend gave; None where it gave none.
        why: What is wrong; empty when all is well.
    """

    signal: str
    expected: int | None = None
    got: int | None = None
    why: str = ""

    @property
    def ok(self) -> bool:
        """Whether the contract was kept."""
        return not self.why


@dataclass(frozen=True)
class CheckReport:
    """What :func:`check_frontend` found.

    Attributes:
        name: ``module:Class``.
        rows: One for each signal and property.
    """

    name: str
    rows: tuple[CheckRow, ...]

    @property
    def ok(self) -> bool:
        """Whether the frontend kept its contract everywhere."""
        return all(row.ok for row in self.rows)

    def render(self) -> str:
        """Return the rows as a table of text, with a last line that sums up."""
        cells = [("signal", "frames expected", "got", "ok")]
        cells += [
            (row.signal, _number(row.expected), _number(row.got), "ok" if row.ok else f"NO: {row.why}")
            for row in self.rows
        ]
        widths = [max(len(cell[column]) for cell in cells) for column in range(3)]
        lines = [
            f"{name:<{widths[0]}}  {expected:>{widths[1]}}  {got:>{widths[2]}}  {ok}"
            for name, expected, got, ok in cells
        ]
        failed = sum(not row.ok for row in self.rows)
        verdict = "keeps its contract" if self.ok else "BREAKS its contract"
        return "\n".join([*lines, f"{self.name} {verdict}: {len(self.rows) - failed} ok, {failed} failed"])


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def check_frontend(
    frontend: Frontend,
    audio: Iterable[tuple[str, Samples, int]] = (),
    resampler: Resampler | None = None,
    rebuild: Rebuild | None = None,
) -> CheckReport:
    """Check a frontend on made signals and on recordings.

    Args:
        frontend: Built in or the user's own.
        audio: Recordings as name, mono float32 samples ``[N]`` and rate in Hz.
        resampler: Brings recordings to the frontend's rate; needed where the rates differ.
        rebuild: Makes the frontend anew with some options changed, to check the fingerprint; without
            it the fingerprint is checked on this instance alone.

    Returns:
        A report with a row for each signal, recording and property; nothing is raised for a fault.
    """
    rate = frontend.spec.sampling_rate
    rows = [
        _check_signal(frontend, name, samples, rate, None) for name, samples in made_signals(frontend.spec)
    ]
    rows += [_check_signal(frontend, name, samples, given, resampler) for name, samples, given in audio]
    rows.append(_check_sensitivity(frontend))
    if isinstance(frontend, BatchFrontend):
        rows.append(_check_batch(frontend))
    rows.extend(_check_fingerprint(frontend, rebuild))
    return CheckReport(frontend_name(frontend), tuple(rows))


def check_named_frontend(
    name: str,
    options: Mapping[str, Any],
    audio: Iterable[tuple[str, Samples, int]] = (),
    search_path: Path | None = None,
    resampler: Resampler | None = None,
) -> CheckReport:
    """Load a frontend as a recipe does and check it, the fingerprint across instances and options too.

    Raises:
        FrontendError: When it cannot be loaded at all.
    """

    def rebuild(changed: Mapping[str, Any]) -> Frontend:
        return load_frontend(name, {**options, **changed}, search_path)

    return check_frontend(rebuild({}), audio, resampler, rebuild)


def _check_signal(
    frontend: Frontend, name: str, samples: Samples, rate: int, resampler: Resampler | None
) -> CheckRow:
    expected: int | None = None
    got: int | None = None
    try:
        prepared, expected = prepare_samples(frontend.spec, samples, rate, resampler)
        before = prepared.copy()
        features = run_extract(frontend, prepared)
        got = len(features) if isinstance(features, np.ndarray) and features.ndim else None
        verify_features(features, frontend.spec, expected, frontend_name(frontend))
        kept = features.copy()
        run_extract(frontend, before[::-1].copy())  # state or a buffer would show after another signal
        overwritten = not np.array_equal(kept, features)
        again = run_extract(frontend, before.copy())
    except FrontendError as error:
        return CheckRow(name, expected, got, str(error))
    if not np.array_equal(prepared, before):
        return CheckRow(name, expected, got, "extract changed the samples that it was given")
    if overwritten:
        return CheckRow(name, expected, got, "features changed when later ones were computed; return a copy")
    if not np.array_equal(kept, again):
        return CheckRow(name, expected, got, "the same samples gave other features the second time")
    return CheckRow(name, expected, got)


def _check_sensitivity(frontend: Frontend) -> CheckRow:
    row = "other noise, other features"
    rate = frontend.spec.sampling_rate
    try:
        first, second = (run_extract(frontend, noise(rate, seed)).copy() for seed in (1, 2))
    except FrontendError as error:
        return CheckRow(row, why=str(error))
    if np.array_equal(first, second):
        return CheckRow(row, why="two different signals gave the same features")
    return CheckRow(row)


def _check_batch(frontend: BatchFrontend) -> CheckRow:
    row = "recordings together, the same features"
    signals = [samples for _, samples in made_signals(frontend.spec)]
    try:
        together = [each.copy() for each in run_extract_batch(frontend, signals, [None] * len(signals))]
        alone = [run_extract(frontend, samples).copy() for samples in signals]
    except FrontendError as error:
        return CheckRow(row, why=str(error))
    if not all(map(np.array_equal, together, alone)):
        return CheckRow(row, why="extract_batch gave other features than extract")
    return CheckRow(row)


def _check_fingerprint(frontend: Frontend, rebuild: Rebuild | None) -> Iterator[CheckRow]:
    mark = frontend.spec.fingerprint
    if not isinstance(mark, str) or not mark.strip():
        yield CheckRow("fingerprint", why=f"expected a text that is not empty, got {mark!r}")
        return
    yield CheckRow("fingerprint", why=_difference("asked twice", mark, frontend.spec.fingerprint))
    if rebuild is None:
        return
    yield CheckRow("second instance, same fingerprint and features", why=_second_instance(frontend, rebuild))
    for option, value in _other_options(frontend):
        try:
            other = rebuild({option: value})
            stale = other.spec.fingerprint == mark and not _behaves_alike(frontend, other)
        except FrontendError:
            continue  # a value that the class refuses cannot make stale features
        why = "the features changed and the fingerprint did not, so stale ones would go unseen"
        yield CheckRow(f"fingerprint with {option}={value:.6g}", why=why if stale else "")


def _second_instance(frontend: Frontend, rebuild: Rebuild) -> str:
    try:
        second = rebuild({})
        alike = frontend.spec != second.spec or _behaves_alike(frontend, second)
    except FrontendError as error:
        return str(error)
    if not alike:
        return "two instances with the same options give different features"
    return _difference("of two instances", frontend.spec.fingerprint, second.spec.fingerprint)


def _behaves_alike(frontend: Frontend, other: Frontend) -> bool:
    if frontend.spec != other.spec:
        return False
    samples = noise(frontend.spec.sampling_rate, seed=6)
    return np.array_equal(run_extract(frontend, samples), run_extract(other, samples))


def _difference(what: str, first: str, second: str) -> str:
    return "" if first == second else f"{what}, it is {first} and {second}"


def _other_options(frontend: Frontend) -> Iterator[tuple[str, Any]]:
    """Yield each option that is a number or a switch, with another value than the frontend's."""
    for name, parameter in inspect.signature(type(frontend)).parameters.items():
        value = getattr(frontend, name, parameter.default)
        if isinstance(value, bool):
            yield name, not value
        elif isinstance(value, int):
            yield name, value + 1
        elif isinstance(value, float):
            yield name, value * 0.75 or 0.5
