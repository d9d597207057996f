"""What several commands print alike."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from asr_kd.report.sweeps import SweptPoint, point_label, systems_of
from asr_kd.score.significance import Bootstrap, error_counts, rate_interval
from asr_kd.score.wer import WerResult, alignment_text, kaldi_line, worst_first
from asr_kd.sweep import best_point

_WIDEST = 1000  # columns of text


def print_word_errors(result: WerResult, name: str, bootstrap: Bootstrap, worst: int) -> None:
    """Print the worst utterances with their alignments, a table of the errors, and Kaldi's line last.

    Args:
        result: What was scored.
        name: Of system and audio, at the end of the last line.
        bootstrap: Of the interval.
        worst: How many utterances to list.
    """
    wrong = [utterance for utterance in worst_first(result, worst) if utterance.num_errors]
    for utterance in wrong:
        print(f"{utterance.utt_id}: {utterance.num_errors} errors in {utterance.num_reference_words} words")
        print(alignment_text(utterance) + "\n")
    interval = rate_interval(error_counts(result), bootstrap)
    table = Table()
    for column in ("utterances", "words", "WER %", "95 % interval", "sub", "del", "ins"):
        table.add_column(column, justify="right")
    table.add_row(
        f"{len(result.utterances):,}",
        f"{result.num_reference_words:,}",
        f"{100 * result.wer:.2f}",
        "too few" if interval is None else f"{100 * interval.low:.2f} to {100 * interval.high:.2f}",
        f"{result.substitutions:,}",
        f"{result.deletions:,}",
        f"{result.insertions:,}",
    )
    Console().print(table)
    print(f"{kaldi_line(result)} {name}")


def print_sweep(rows: Sequence[SweptPoint]) -> None:
    """Print a table of the points of a sweep with what each system reached on dev, the best one marked."""
    table = Table(title="dev", title_justify="left")
    systems = systems_of(rows)
    table.add_column(", ".join(rows[0].settings))
    for what in ("frame acc. %", "WER %") if any(row.wer for row in rows) else ("frame acc. %",):
        for system in systems:
            table.add_column(f"{system} {what}", justify="right")
    chosen = best_point(rows)
    for row in rows:
        cells = [_mean(row.frame_accuracy.get(system)) for system in systems]
        cells += [_mean(row.wer.get(system)) for system in systems if any(each.wer for each in rows)]
        table.add_row(Text(point_label(row)) + (" *" if row is chosen else ""), *cells)
    # In a file or a narrow terminal too the figures stay whole; a console measures no wider than it is.
    needed = Console(width=_WIDEST).measure(table).maximum
    Console(width=max(Console().width, needed)).print(table)
    print("* best student on dev, by WER where there is one")


def _mean(rates: Sequence[float] | None) -> str:
    if not rates:
        return ""
    spread = f" ±{100 * np.std(rates, ddof=1):.2f}" if len(rates) > 1 else ""
    return f"{100 * np.mean(rates):.2f}{spread}"
