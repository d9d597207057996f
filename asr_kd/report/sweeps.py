"""Sweeps over a recipe's settings: the data model of ``sweep.json``, which gathers all that were run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from asr_kd.atomic import write_json
from asr_kd.errors import StageError
from asr_kd.report.results import STUDENT, ResultsModel

SWEEP_FILE = "sweep.json"


class SweptPoint(ResultsModel):
    """What one combination of settings gave on dev, as fractions; one value a seed.

    Attributes:
        settings: Value by setting, as ``a.b``.
        overrides: What ``--set`` changed at every point of its sweep.
        recipe: Fingerprint of the recipe's settings that were not swept; None in files that do not have it.
        students: SHA-256 of each seed's weights; empty in files that do not have them.
        frame_accuracy: By system.
        wer: By system; empty where the sweep stopped before decoding.
    """

    settings: dict[str, Any]
    overrides: tuple[str, ...] = ()
    recipe: str | None = None
    students: tuple[str, ...] = ()
    frame_accuracy: dict[str, tuple[float, ...]]
    wer: dict[str, tuple[float, ...]]

    @property
    def key(self) -> str:
        """What tells it from other points."""
        return yaml_text([self.settings, list(self.overrides), self.recipe])


@dataclass(frozen=True)
class Sweep:
    """Points of one recipe that differ in the values of the same settings.

    Attributes:
        axes: The settings.
        overrides: What ``--set`` changed at all of them.
        recipe: Fingerprint of all other settings; None where it was not kept.
        points: In the order in which they were run first.
    """

    axes: tuple[str, ...]
    overrides: tuple[str, ...]
    recipe: str | None
    points: tuple[SweptPoint, ...]


_POINTS = TypeAdapter(list[SweptPoint])


def read_points(path: Path) -> list[SweptPoint]:
    """Read a ``sweep.json``; where there is none, there are no points.

    Raises:
        StageError: For a file of another form.
    """
    if not path.is_file():
        return []
    try:
        return _POINTS.validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise StageError(f"not the points of sweeps: {where}: {first['msg']}", where=path) from None


def write_points(path: Path, points: Iterable[SweptPoint]) -> None:
    """Write a ``sweep.json``."""
    write_json(path, [point.model_dump(mode="json") for point in points])


def gathered(known: Iterable[SweptPoint], new: Iterable[SweptPoint]) -> list[SweptPoint]:
    """Return all points; a new one stands in the place of a known one with the same settings and recipe.

    Where the same students were decoded before and are not now, the known one stays.
    """
    points = {point.key: point for point in known}
    for point in new:
        before = points.get(point.key)
        if before is None or point.wer or not before.wer or _students(point) != _students(before):
            points[point.key] = point
    return list(points.values())


def _students(point: SweptPoint) -> Sequence[object] | None:
    """Return what tells the students of a point from others: in old files their frame accuracies alone."""
    # Of one net they differ between its training, on stored features, and its decoding.
    return point.students or point.frame_accuracy.get(STUDENT)


def sweeps_of(points: Iterable[SweptPoint]) -> list[Sweep]:
    """Return the points as the sweeps that they are of."""
    sweeps: dict[tuple[tuple[str, ...], tuple[str, ...], str | None], list[SweptPoint]] = {}
    for point in points:
        sweeps.setdefault((tuple(point.settings), point.overrides, point.recipe), []).append(point)
    return [Sweep(*shared, tuple(found)) for shared, found in sweeps.items()]


def point_label(point: SweptPoint) -> str:
    """Return the values of a point, with the last part of each setting's name where there are several."""
    if len(point.settings) == 1:
        return yaml_text(*point.settings.values())
    return ", ".join(
        f"{axis.rpartition('.')[2]} {yaml_text(value)}" for axis, value in point.settings.items()
    )


def systems_of(points: Sequence[SweptPoint]) -> list[str]:
    """Return the systems that were measured at some point."""
    return list(dict.fromkeys(system for point in points for system in point.frame_accuracy))


def yaml_text(value: Any) -> str:
    """Return a value as YAML on one line, as ``--set`` reads it."""
    text: str = yaml.safe_dump(value, default_flow_style=True, width=10_000, sort_keys=False)
    return text.removesuffix("\n...\n").strip()
