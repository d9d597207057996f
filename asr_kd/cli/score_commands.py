"""``score``, ``compare`` and ``combine``: hypothesis files against references and with each other."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from asr_kd.cli.show import print_word_errors
from asr_kd.data.manifest import read_manifest, transcripts
from asr_kd.decode.word_lattice import vote
from asr_kd.errors import ScoringError
from asr_kd.report.cells import TOO_FEW
from asr_kd.score.significance import Bootstrap, RateCounts, difference, error_counts, mean_counts
from asr_kd.score.text_files import check_writable_name, read_text_file, write_text_file
from asr_kd.score.wer import score
from asr_kd.score.words import compared_words
from asr_kd.stages.base import WorkDir
from asr_kd.stages.labels import alignment_fingerprint
from asr_kd.stages.score import read_scores, speakers

_FORMATS = "Kaldi text (utt_id words ...), .trn, .ctm, or a manifest (.jsonl)"
_FILES_HINT = "to compare two hypothesis files, name what was said with --reference FILE"

MissingOption = Annotated[
    bool, typer.Option("--missing-as-empty", help="Count references without hypothesis as deletions.")
]


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command("score")(score_command)
    app.command()(compare)
    app.command()(combine)


def score_command(
    reference: Annotated[Path, typer.Argument(help=f"{_FORMATS}.")],
    hypothesis: Annotated[Path, typer.Argument(help="The same for what was recognised.")],
    worst: Annotated[int, typer.Option("--worst", help="How many utterances to list, worst first.")] = 20,
    missing_as_empty: MissingOption = False,
) -> None:
    """Score a hypothesis file of any recogniser: WER with interval, and the worst utterances."""
    result = score(_texts(reference), _texts(hypothesis), missing_as_empty=missing_as_empty)
    print_word_errors(result, hypothesis.name, Bootstrap(), worst)


def compare(
    first: Annotated[str, typer.Argument(metavar="A", help="A work folder, WORK:SYSTEM, or hypotheses.")],
    second: Annotated[str, typer.Argument(metavar="B", help="The same for what it is compared with.")],
    reference: Annotated[
        Path | None,
        typer.Option("--reference", metavar="FILE", help="Of two hypothesis files: what was said."),
    ] = None,
    split: Annotated[str, typer.Option("--split", help="Of work folders: test or dev.")] = "test",
    missing_as_empty: MissingOption = False,
) -> None:
    """Compare two systems: A minus B in WER and frame accuracy, with paired bootstrap interval and p-value.

    Frame accuracies are compared where both are of the same alignment.
    SYSTEM is student (the default), baseline, control or ensemble; the mean over its seeds is compared.
    """
    if reference is not None:
        said, found = _texts(reference), [_texts(Path(name)) for name in (first, second)]
        words = [error_counts(score(said, texts, missing_as_empty=missing_as_empty)) for texts in found]
        print("\n".join(_difference("WER", first, second, words, Bootstrap())))
        return
    if missing_as_empty:
        raise ScoringError("--missing-as-empty is for hypothesis files", hint=_FILES_HINT)
    places = [_work_and_system(name) for name in (first, second)]
    scores = [read_scores(work, system, split) for work, system in places]
    bootstrap = Bootstrap(speakers=speakers(places[0][0], split))
    words = [mean_counts(each.word_counts()) for each in scores]
    lines = _difference("WER", first, second, words, bootstrap)
    frames = [mean_counts(each.correct_frames()) for each in scores]
    if len({alignment_fingerprint(work, split) for work, _ in places}) == 1:
        lines += _difference("frame accuracy", first, second, frames, bootstrap)
    else:
        lines += _rates("frame accuracy", first, second, frames)
        lines.append(f"frame accuracies are of different alignments of {split} and are not compared")
    print("\n".join(lines))


def combine(
    hypotheses: Annotated[list[Path], typer.Argument(metavar="HYP HYP...", help="Of the same utterances.")],
    out: Annotated[Path, typer.Option("--out", help="Write the combined hypotheses here (.txt or .trn).")],
) -> None:
    """Combine several systems' hypotheses word by word, each system with one vote.

    Words are the same where `score` takes them to be: whichever way Unicode writes an accent.
    """
    if len(hypotheses) < 2:
        raise ScoringError("one system cannot be combined", expected="two or more hypothesis files")
    check_writable_name(out)
    systems = [_texts(path) for path in hypotheses]
    for path, texts in zip(hypotheses, systems, strict=True):
        different = sorted(texts.keys() ^ systems[0].keys())
        if different:
            raise ScoringError(
                f"{len(different)} utterances are not in both", where=path, got=", ".join(different[:3])
            )
    voted = {
        utt_id: " ".join(vote([compared_words(texts[utt_id]) for texts in systems])) for utt_id in systems[0]
    }
    write_text_file(out, voted)


def _texts(path: Path) -> dict[str, str]:
    """Return words by utt_id of a hypothesis or reference file, or what a manifest says."""
    if path.suffix.lower() != ".jsonl":
        return read_text_file(path)
    return transcripts(read_manifest(path), path, "take a file with the words of all of them")


def _work_and_system(name: str) -> tuple[WorkDir, str]:
    """Return folder and system of ``WORK``, ``WORK:SYSTEM``, or ``:SYSTEM`` of the current folder."""
    folder, colon, system = (name, ":", "student") if Path(name).is_dir() else name.rpartition(":")
    work = WorkDir(Path(folder))
    if not colon or not work.run_facts.is_file():
        raise ScoringError(
            "neither a work folder nor WORK:SYSTEM",
            where=name,
            hint=f"a system of the current folder is .:SYSTEM; {_FILES_HINT}",
        )
    return work, system


def _rates(what: str, first: str, second: str, counts: list[RateCounts]) -> list[str]:
    return [
        f"{name}: {what} {100 * each.rate:.2f} %" for name, each in zip((first, second), counts, strict=True)
    ]


def _difference(
    what: str, first: str, second: str, counts: list[RateCounts], bootstrap: Bootstrap
) -> list[str]:
    """Return the lines of a comparison.

    Raises:
        ScoringError: When the two were scored on different utterances.
    """
    change = difference(counts[0], counts[1], bootstrap)
    told = TOO_FEW
    if change.low is not None and change.high is not None:
        told = (
            f"{100 * bootstrap.level:.0f} % interval {100 * change.low:+.2f} to {100 * change.high:+.2f}, "
            f"p = {change.p_value:.4f}"
        )
    return [
        *_rates(what, first, second, counts),
        f"difference in {what} {100 * change.mean:+.2f} points, {told}",
    ]
