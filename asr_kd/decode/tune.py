"""Tuning of acoustic scale and word insertion penalty on dev."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from asr_kd.decode.beam import DecodeConfig
from asr_kd.decode.parallel import DecoderPool, Item
from asr_kd.errors import ConfigError
from asr_kd.progress import progress

_Cell = tuple[int, int]  # index of the acoustic scale, index of the penalty


@dataclass(frozen=True)
class TuningGrid:
    """The values to choose from.

    Args:
        acoustic_scales: Above 0, rising; their inverses are the LM scales.
        insertion_penalties: Rising, on the scale of the graph's costs.
    """

    acoustic_scales: tuple[float, ...] = (0.05, 0.07, 0.1, 0.14, 0.2, 0.3, 0.45, 0.7, 1.0)
    insertion_penalties: tuple[float, ...] = (-4.0, -2.0, -1.0, 0.0, 1.0, 2.0, 4.0)

    def __post_init__(self) -> None:
        for name, values in (
            ("acoustic_scales", self.acoustic_scales),
            ("insertion_penalties", self.insertion_penalties),
        ):
            if not values or list(values) != sorted(set(values)):
                raise ConfigError(
                    f"{name} of the tuning grid", expected="one or more rising values", got=values
                )
        if self.acoustic_scales[0] <= 0:
            raise ConfigError("acoustic scales are above 0", got=self.acoustic_scales[0])


@dataclass(frozen=True)
class TuningPoint:
    """One point of the grid and the errors that it makes on dev."""

    acoustic_scale: float
    insertion_penalty: float
    num_errors: int


@dataclass(frozen=True)
class TuningResult:
    """All points that were tried, in the order of scale and penalty, and the chosen one.

    Attributes:
        points: Not the whole grid: the search leaves out what it need not try.
        best: The point with the fewest errors.
        at_edge: Settings whose best value, or one as good, is the first or last of several: the grid may be
            too narrow.
    """

    points: tuple[TuningPoint, ...]
    best: TuningPoint
    at_edge: tuple[str, ...]


def tune(
    graph_folder: Path,
    dev_items: Callable[[], Iterable[Item]],
    count_errors: Callable[[dict[str, str]], int],
    grid: TuningGrid,
    config: DecodeConfig | None = None,
    num_processes: int = 1,
) -> TuningResult:
    """Choose acoustic scale and insertion penalty by decoding dev again and again.

    Args:
        graph_folder: Where :func:`asr_kd.decode.graph.save_graph` wrote.
        dev_items: Called for each point; gives utt_id and log-likelihoods ``[T, S]`` anew.
        count_errors: Word errors of the hypotheses, which it gets as text by utt_id, empty ones included.
        grid: The values to choose from.
        config: Beam and max_active of the search.
        num_processes: Of the decoder.

    Returns:
        The points and the best one; see :func:`search_grid`.
    """
    base = config or DecodeConfig()
    with DecoderPool(graph_folder, num_processes) as pool, progress("tuning", unit="points") as meter:

        def errors_at(acoustic_scale: float, insertion_penalty: float) -> int:
            settings = replace(base, acoustic_scale=acoustic_scale, insertion_penalty=insertion_penalty)
            hypotheses = {utt_id: found.text for utt_id, found in pool.decode(dev_items(), settings)}
            num_errors = count_errors(hypotheses)
            meter.advance(1, f"scale {acoustic_scale:g}, penalty {insertion_penalty:g}: {num_errors} errors")
            return num_errors

        return search_grid(errors_at, grid)


def search_grid(errors_at: Callable[[float, float], int], grid: TuningGrid) -> TuningResult:
    """Return the point of a grid with the fewest errors, from coarse to fine.

    First all scales at the penalty nearest to 0, then all penalties at the best scale, then the neighbours of
    the best points until none is better or as good: a plateau is seen whole, and the point nearest to its
    middle is taken, which errs least where dev is too small to tell points apart; then the smaller scale,
    then the smaller penalty.

    Args:
        errors_at: Number of errors for an acoustic scale and an insertion penalty; called once a point.
        grid: The values to choose from.
    """
    scales, penalties = grid.acoustic_scales, grid.insertion_penalties
    errors: dict[_Cell, int] = {}

    def evaluate(cells: Iterable[_Cell]) -> None:
        for scale, penalty in cells:
            if (scale, penalty) not in errors and 0 <= scale < len(scales) and 0 <= penalty < len(penalties):
                errors[scale, penalty] = errors_at(scales[scale], penalties[penalty])

    neutral = min(range(len(penalties)), key=lambda index: (abs(penalties[index]), index))
    evaluate((scale, neutral) for scale in range(len(scales)))
    scale, _ = _middle(_best_cells(errors))
    evaluate((scale, penalty) for penalty in range(len(penalties)))
    num_evaluated = 0
    while len(errors) > num_evaluated:
        num_evaluated = len(errors)
        for cell in _best_cells(errors):
            evaluate(_neighbours(cell))
    plateau = _best_cells(errors)
    best = _middle(plateau)
    points = {
        cell: TuningPoint(scales[cell[0]], penalties[cell[1]], num_errors)
        for cell, num_errors in sorted(errors.items())
    }
    return TuningResult(tuple(points.values()), points[best], _settings_at_edge(plateau, grid))


def _neighbours(cell: _Cell) -> list[_Cell]:
    scale, penalty = cell
    return [(scale + i, penalty + j) for i in (-1, 0, 1) for j in (-1, 0, 1)]


def _best_cells(errors: Mapping[_Cell, int]) -> list[_Cell]:
    fewest = min(errors.values())
    return sorted(cell for cell, num_errors in errors.items() if num_errors == fewest)


def _middle(cells: Sequence[_Cell]) -> _Cell:
    """Return the cell that is nearest to the middle of some."""
    middle = [sum(cell[axis] for cell in cells) / len(cells) for axis in (0, 1)]
    return min(cells, key=lambda cell: (abs(cell[0] - middle[0]) + abs(cell[1] - middle[1]), cell))


def _settings_at_edge(plateau: Sequence[_Cell], grid: TuningGrid) -> tuple[str, ...]:
    sizes = {"acoustic_scale": len(grid.acoustic_scales), "insertion_penalty": len(grid.insertion_penalties)}
    return tuple(
        name
        for axis, (name, size) in enumerate(sizes.items())
        if size > 1 and {cell[axis] for cell in plateau} & {0, size - 1}
    )
