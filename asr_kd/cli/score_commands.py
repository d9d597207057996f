"""``score``: any hypothesis file against any reference file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from asr_kd.cli.show import print_word_errors
from asr_kd.score.significance import Bootstrap, difference, error_counts
from asr_kd.score.text_files import read_text_file
from asr_kd.score.wer import score


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command("score")(score_command)
    app.command()(compare)


def score_command(
    reference: Annotated[Path, typer.Argument(help="Kaldi text (utt_id words ...) or .trn.")],
    hypothesis: Annotated[Path, typer.Argument(help="The same for what was recognised.")],
    worst: Annotated[int, typer.Option("--worst", help="How many utterances to list, worst first.")] = 20,
    missing_as_empty: Annotated[
        bool, typer.Option("--missing-as-empty", help="Count references without hypothesis as deletions.")
    ] = False,
) -> None:
    """Score a hypothesis file of any recogniser: WER with interval, and the worst utterances."""
    result = score(read_text_file(reference), read_text_file(hypothesis), missing_as_empty=missing_as_empty)
    print_word_errors(result, hypothesis.name, Bootstrap(), worst)


def compare(
    reference: Annotated[Path, typer.Argument(help="Kaldi text (utt_id words ...) or .trn.")],
    first: Annotated[Path, typer.Argument(help="Hypotheses of one system.")],
    second: Annotated[Path, typer.Argument(help="Hypotheses of another.")],
) -> None:
    """Compare two hypothesis files: difference in WER with its paired bootstrap interval and p-value."""
    references = read_text_file(reference)
    results = [score(references, read_text_file(path)) for path in (first, second)]
    change = difference(error_counts(results[0]), error_counts(results[1]))
    for path, result in zip((first, second), results, strict=True):
        print(f"{path}: WER {100 * result.wer:.2f} %")
    print(
        f"difference {100 * change.mean:+.2f} points, 95 % interval "
        f"{100 * change.low:+.2f} to {100 * change.high:+.2f}, p = {change.p_value:.4f}"
    )
