"""The result table on the terminal and in RESULTS.md."""

from __future__ import annotations

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from asr_kd.report.cells import COLUMNS, Cell, findings, notes, row_cells, run_facts, seed_list
from asr_kd.report.results import STUDENT, ResultRow, Results
from asr_kd.score.wer import kaldi_line

_WIDTH_OFF_TERMINAL = 120
_WIDE = 100


def splits(results: Results) -> list[str]:
    """Return the splits that were scored, in the order of the rows."""
    return list(dict.fromkeys(row.split for row in results.rows))


def shown_split(results: Results) -> str:
    """Return the split that a run is summed up with: test, or the last one where test was not decoded."""
    names = splits(results)
    return "test" if "test" in names or not names else names[-1]


def split_rows(results: Results, split: str) -> list[ResultRow]:
    """Return the rows of one split."""
    return [row for row in results.rows if row.split == split]


def summary_line(results: Results, system: str = STUDENT, split: str = "test") -> str:
    """Return ``%WER 12.3 [ 123 / 1000, 10 ins, 20 del, 93 sub ] student test``.

    Raises:
        StageError: When that row is missing.
    """
    row = results.row(system, split)
    assert row.errors is not None, "a scored system without errors has no WER"
    return f"{kaldi_line(row.errors)} {system} {split}"


def results_table(results: Results, split: str, *, narrow: bool = False) -> Table:
    """Return one split's rows as a rich table; a narrow one fits into 80 columns."""
    run = results.provenance
    title = Text(f"{run.recipe}, profile {run.profile}, {split}")
    table = Table(
        title=title,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=0 if narrow else (0, 1, 0, 0),
    )
    rows = [[_terminal(cell) for cell in row_cells(row)] for row in split_rows(results, split)]
    for index, name in enumerate(COLUMNS):
        # Headings may be folded on a narrow terminal, numbers may not.
        lines = [line.plain for row in rows for line in row[index].split()]
        width = max(cell_len(text) for text in (*lines, *name.split()))
        table.add_column(
            name,
            justify="left" if index == 0 else "right",
            min_width=width,
            max_width=width if narrow else None,
        )
    for row in rows:
        table.add_row(*row)
    return table


def _terminal(cell: Cell) -> Text:
    # Text, because rich would read "[12.0, 13.5]" as markup.
    text = Text(cell.main, style="bold")
    return text.append(f"\n{cell.detail}", style="not bold dim") if cell.detail else text


def print_results(
    results: Results, console: Console | None = None, system: str = STUDENT, split: str | None = None
) -> None:
    """Print tables and findings to standard output; the last line is the :func:`summary_line`.

    Args:
        results: As in ``results.json``.
        console: Where to; None takes standard output.
        system: Of the last line.
        split: Of the last line; None takes the :func:`shown_split`.
    """
    console = console or Console()
    if not console.is_terminal:
        console.width = max(console.width, _WIDTH_OFF_TERMINAL)
    for name in splits(results):
        console.print(results_table(results, name, narrow=console.width < _WIDE))
    for line in [*notes(results), *findings(results)]:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    last = summary_line(results, system, split or shown_split(results))
    console.print(last, markup=False, highlight=False, soft_wrap=True)


def results_markdown(*runs: Results, title: str = "Results") -> str:
    """Return RESULTS.md: for every run its tables, findings, command, seeds, commit and machine.

    Args:
        runs: One or several, for example a recipe's profiles.
        title: Of the page.
    """
    lines = [f"# {_plain(title)}", ""]
    for results in runs:
        run = results.provenance
        for split in splits(results):
            lines += [f"## {_plain(run.recipe)}, profile {_plain(run.profile)}, {_plain(split)}", ""]
            lines += _markdown_table(results, split)
        lines += [*(f"- {_plain(text)}" for text in findings(results)), ""]
        lines += [_plain(" ".join(notes(results))), ""] if notes(results) else []
        lines += _made_by(results)
    return "\n".join(lines).rstrip() + "\n"


def _markdown_table(results: Results, split: str) -> list[str]:
    commit = (results.provenance.commit or "none")[:10]
    lines = [
        "| " + " | ".join((*COLUMNS, "seeds", "commit")) + " |",
        "|---|" + "---:|" * (len(COLUMNS) - 1) + "---|---|",
    ]
    for row in split_rows(results, split):
        cells = [f"{cell.main} {cell.detail}".strip() for cell in row_cells(row)]
        cells += [seed_list(row.seeds), commit]
        lines.append("| " + " | ".join(_plain(cell) for cell in cells) + " |")
    return [*lines, ""]


def _made_by(results: Results) -> list[str]:
    """Return what made every row above: the command as a block, the rest on one line."""
    details = [f"{label} {text}" for label, text in run_facts(results) if label not in {"command", "recipe"}]
    command = results.provenance.command.replace("```", "")
    return ["```", command, "```", "", _plain("; ".join(details)) + ".", ""]


def _plain(text: str) -> str:
    """Return text that Markdown shows as it is, on one line."""
    for character in "\\`*_|<>":
        text = text.replace(character, "\\" + character)
    return " ".join(text.split())
