"""Counts of errors of several systems beside the paper's: data model, table and page."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean, stdev
from typing import Literal

from pydantic import Field
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from asr_kd.atomic import write_text
from asr_kd.errors import StageError
from asr_kd.report.cells import NONE, clock
from asr_kd.report.results import Provenance, ResultsModel, read_results_as

COLUMNS = ("system", "T", "errors", "paper", "corrected", "paper", "on missing classes", "seeds")


class ErrorRow(ResultsModel):
    """One system, over its seeds.

    Attributes:
        system: Its name.
        seeds: Of the nets.
        errors: One count a seed.
        temperature: Of the student's loss; None without soft targets.
        errors_on_missing: One count a seed, on the classes that the transfer set lacked.
        corrected: One count a seed, after the bias correction.
        corrected_on_missing: One count a seed.
        bias: Added to the corrected classes' logits, one a seed.
        corrected_classes: Whose bias was moved.
        paper: The paper's errors.
        paper_corrected: The paper's errors after its correction.
    """

    system: str
    seeds: tuple[int, ...] = Field(min_length=1)
    errors: tuple[int, ...] = Field(min_length=1)
    temperature: float | None = None
    errors_on_missing: tuple[int, ...] = ()
    corrected: tuple[int, ...] = ()
    corrected_on_missing: tuple[int, ...] = ()
    bias: tuple[float, ...] = ()
    corrected_classes: tuple[int, ...] = ()
    paper: int | None = None
    paper_corrected: int | None = None


class ErrorResults(ResultsModel):
    """Everything that an image recipe's ``results.json`` holds.

    Attributes:
        provenance: How the numbers were made.
        split: That was scored.
        num_images: In it.
        rows: One a system.
        notes: What a reader has to know.
    """

    kind: Literal["images"] = "images"
    format_version: Literal[1] = 1
    provenance: Provenance
    split: str
    num_images: int
    rows: tuple[ErrorRow, ...]
    notes: tuple[str, ...] = ()

    def row(self, system: str) -> ErrorRow:
        """Return one system's row.

        Raises:
            StageError: When there is none, naming those there are.
        """
        for row in self.rows:
            if row.system == system:
                return row
        raise StageError(f"no result of {system}", expected=", ".join(row.system for row in self.rows))


def read_error_results(path: Path) -> ErrorResults:
    """Read an image recipe's ``results.json``.

    Raises:
        StageError: When it is missing or something else.
    """
    return read_results_as(ErrorResults, path)


def write_error_results(folder: Path, results: ErrorResults, json_name: str, markdown_name: str) -> None:
    """Write ``results.json`` and ``RESULTS.md``."""
    write_text(folder / json_name, results.model_dump_json(indent=2) + "\n")
    write_text(folder / markdown_name, errors_markdown(results))


def row_texts(row: ErrorRow) -> list[str]:
    """Return one row's cells in the order of ``COLUMNS``."""
    missing = _mean(row.errors_on_missing)
    if row.corrected_on_missing:
        missing += f" -> {_mean(row.corrected_on_missing)}"
    return [
        row.system,
        NONE if row.temperature is None else f"{row.temperature:g}",
        _mean(row.errors),
        NONE if row.paper is None else f"{row.paper:,}",
        _mean(row.corrected),
        NONE if row.paper_corrected is None else f"{row.paper_corrected:,}",
        missing,
        ", ".join(map(str, row.seeds)),
    ]


def _mean(values: tuple[int, ...]) -> str:
    if not values:
        return NONE
    if len(values) == 1:
        return f"{values[0]:,}"
    return f"{fmean(values):,.1f} ±{stdev(values):.1f}"


def print_error_results(results: ErrorResults, console: Console | None = None) -> None:
    """Print the table and its notes to standard output."""
    console = console or Console()
    if not console.is_terminal:
        console.width = max(console.width, 120)
    run = results.provenance
    title = Text(f"{run.recipe}, profile {run.profile}, errors of {results.num_images:,} ({results.split})")
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, show_edge=False)
    for index, name in enumerate(COLUMNS):
        table.add_column(name, justify="left" if index == 0 else "right")
    for row in results.rows:
        table.add_row(*map(Text, row_texts(row)))
    console.print(table)
    for line in results.notes:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def errors_markdown(results: ErrorResults) -> str:
    """Return RESULTS.md."""
    run = results.provenance
    header = [
        "# Results",
        "",
        f"## {run.recipe}, profile {run.profile}, errors of {results.num_images:,} ({results.split})",
        "",
        "| " + " | ".join(COLUMNS) + " |",
        "|---|" + "---:|" * (len(COLUMNS) - 1),
    ]
    rows = ["| " + " | ".join(row_texts(row)) + " |" for row in results.rows]
    details = {
        "commit": run.commit or "none (not run from a checkout)",
        "version": run.version,
        "machine": run.machine,
        "date": run.date,
        "time": clock(sum(run.stage_seconds.values())),
    }
    made_by = "; ".join(f"{label} {text}" for label, text in details.items() if text)
    notes = [f"- {note}" for note in results.notes]
    return "\n".join([*header, *rows, "", *notes, "", "```", run.command, "```", "", f"{made_by}.", ""])
