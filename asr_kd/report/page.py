"""One self-contained HTML page: tables, plots, worst utterances and how it was all made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from matplotlib.figure import Figure

from asr_kd.atomic import write_text
from asr_kd.fingerprint import fingerprint
from asr_kd.report import plots
from asr_kd.report.cells import COLUMNS, Cell, clock, facts, findings, notes, row_cells, run_facts, size
from asr_kd.report.plot_style import render
from asr_kd.report.results import BASELINE, ENSEMBLE, STUDENT, Results
from asr_kd.report.style import STYLE
from asr_kd.report.sweeps import Sweep
from asr_kd.report.tables import split_rows, splits, summary_line
from asr_kd.score.wer import GAP, UtteranceScore, WerResult, worst_first

NUM_WORST = 25


@dataclass(frozen=True)
class PageFigure:
    """A plot and what to see in it; ``svg`` is markup and is not escaped."""

    title: str
    caption: str
    svg: str


def report_page(
    results: Results,
    words: Mapping[str, WerResult] | None = None,
    speakers: Mapping[str, str] | None = None,
    split: str = "test",
    sweeps: Sequence[Sweep] = (),
) -> str:
    """Return the page of a run.

    Args:
        results: As in ``results.json``.
        words: Scores by system on ``split``: the worst utterances and the speakers' WER are shown.
        speakers: Speaker by utt_id.
        split: Which the words belong to.
        sweeps: Over the recipe's settings.
    """
    words = words or {}
    figures = [*result_figures(results, words, speakers, split), *map(sweep_figure, sweeps)]
    shown = STUDENT if STUDENT in words else next(iter(words), None)
    listing = "" if shown is None else _worst_section(shown, split, words[shown])
    run = results.provenance
    body = [
        f"<h1>{escape(run.recipe)}</h1>",
        f'<p class="quiet">profile {escape(run.profile)}{escape(f", {run.date}" if run.date else "")}</p>',
        _findings_list(results),
        *(_table_section(results, name) for name in splits(results)),
        _last_line(results, split),
        '<div class="figures">' + "".join(map(_figure, figures)) + "</div>" if figures else "",
        listing,
        _facts_section("Setup and data", facts(results)),
        _facts_section("How to make it again", run_facts(results)),
        _stages_section(run.stage_seconds, run.stage_bytes),
    ]
    title = escape(f"{run.recipe} {run.profile}")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(part for part in body if part)
        + "\n</main>\n</body>\n</html>\n"
    )


def write_page(path: Path, page: str) -> None:
    """Write the page."""
    write_text(path, page)


def result_figures(
    results: Results, words: Mapping[str, WerResult], speakers: Mapping[str, str] | None, split: str
) -> list[PageFigure]:
    """Return the plots for which there are numbers."""
    figures: list[PageFigure] = []

    def add(title: str, caption: str, figure: Figure) -> None:
        svg = render(figure, f"plot{len(figures)}").decode()
        figures.append(PageFigure(title, caption, svg))

    for name in splits(results):
        if not any(row.wer or row.frame_accuracy for row in split_rows(results, name)):
            continue
        add(
            f"Systems, {name}",
            "Dot: mean over seeds. Line: interval of the test set. Wide bar: ± sd over seeds.",
            plots.rates_by_system(results, name),
        )
    if results.curves:
        add(
            "Training",
            "Each net minimises its own loss, so dashed lines of different systems do not compare.",
            plots.training_curves(results.curves),
        )
    for surface in results.tuning:
        caption = f"The frame marks what was chosen on {surface.split}."
        if surface.at_edge:
            caption += (
                " It, or a point as good, lies at the edge of what was tried: a wider range may do better."
            )
        add(f"Tuning of {surface.system}", caption, plots.tuning_surface(surface))
    calibration = [curve for curve in results.calibration if curve.split == split]
    if calibration:
        add(
            f"Calibration, {split}",
            "Below the dashed line a system is surer than it is right. ECE: expected calibration error, the "
            "mean distance from it.",
            plots.reliability(calibration),
        )
    confusions = [pair for pair in results.confusions if pair.split == split]
    if confusions:
        add(
            f"Confused phones, {split}",
            "Frames of one phone whose best senone is of another one: the pairs with most frames.",
            plots.phone_confusions(confusions),
        )
    for agreement in results.agreement:
        if agreement.split == split and len(agreement.nets) > 1:
            add(
                f"Teachers, {split}",
                "Averaging decides the frames that some nets get right and others do not.",
                plots.teacher_agreement(agreement),
            )
    for curve in results.teacher_gain:
        add(
            f"Number of teachers, {curve.split}",
            "Mean over sets of so many teachers, from their stored posteriors. Line: ± sd over the sets.",
            plots.teacher_gain(curve),
        )
    scored = [row for row in split_rows(results, split) if row.wer and row.num_parameters]
    if len({row.num_parameters for row in scored}) > 1:
        add(
            f"Size, {split}",
            "Mean over seeds; the interval of each stands above.",
            plots.sizes(results, split),
        )
    if words and speakers:
        order = [name for name in (BASELINE, ENSEMBLE) if name in words]
        order += [name for name in words if name not in order]
        add(
            f"Speakers, {split}",
            "One dot a speaker and system.",
            plots.speaker_wer({name: words[name] for name in order}, speakers),
        )
    return figures


def sweep_figure(sweep: Sweep) -> PageFigure:
    """Return the plot of a sweep."""
    also = f" All with {', '.join(sweep.overrides)}." if sweep.overrides else ""
    # Tells sweeps over the same settings apart, where the recipe was edited between them.
    also += f" Recipe {sweep.recipe}." if sweep.recipe else ""
    return PageFigure(
        f"Sweep of {', '.join(sweep.axes)}, dev",
        f"Dot: mean over seeds. Bar: ± sd over seeds.{also}",
        render(plots.swept(sweep), f"sweep-{fingerprint([point.key for point in sweep.points])}").decode(),
    )


def _findings_list(results: Results) -> str:
    items = "".join(f"<li>{escape(text)}</li>" for text in findings(results))
    return f'<ul class="findings">{items}</ul>' if items else ""


def _table_section(results: Results, split: str) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in COLUMNS)
    rows = []
    for row in split_rows(results, split):
        first, *rest = row_cells(row)
        cells = "".join(f"<td>{_cell(cell)}</td>" for cell in rest)
        rows.append(f'<tr><th scope="row">{_cell(first)}</th>{cells}</tr>')
    below = " ".join(escape(note) for note in notes(results))
    return (
        f'<section><h2>Results, {escape(split)}</h2><div class="scroll"><table><thead><tr>{head}</tr></thead>'
        f'<tbody>{"".join(rows)}</tbody></table></div><p class="quiet">{below}</p></section>'
    )


def _cell(cell: Cell) -> str:
    detail = f"<small>{escape(cell.detail)}</small>" if cell.detail else ""
    return escape(cell.main) + detail


def _last_line(results: Results, split: str) -> str:
    scored = any((row.system, row.split) == (STUDENT, split) and row.errors for row in results.rows)
    return f"<pre>{escape(summary_line(results, STUDENT, split))}</pre>" if scored else ""


def _figure(figure: PageFigure) -> str:
    return (
        f"<figure><h2>{escape(figure.title)}</h2>{figure.svg}"
        f"<figcaption>{escape(figure.caption)}</figcaption></figure>"
    )


def _worst_section(system: str, split: str, result: WerResult) -> str:
    wrong = [utt for utt in worst_first(result, NUM_WORST) if utt.num_errors]
    num_wrong = sum(utt.num_errors > 0 for utt in result.utterances)
    items = "".join(map(_utterance, wrong))
    listed = f"The worst {len(wrong)} are listed. " if len(wrong) < num_wrong else ""
    return (
        f"<section><h2>Worst utterances of {escape(system)}, {escape(split)}</h2>"
        f'<p class="quiet">{num_wrong:,} of {len(result.utterances):,} utterances have errors. {listed}'
        "Reference above, hypothesis below, "
        '<span class="S">S</span>ubstituted, <span class="D">D</span>eleted, '
        f'<span class="I">I</span>nserted.</p>{items}</section>'
    )


def _utterance(utt: UtteranceScore) -> str:
    words = "".join(
        f'<span class="pair {pair.op}"><span>{escape(pair.reference or GAP)}</span>'
        f"<span>{escape(pair.hypothesis or GAP)}</span><span>{pair.op or '&nbsp;'}</span></span>"
        for pair in utt.pairs
    )
    counts = (
        f"{utt.num_errors} / {utt.num_reference_words}, "
        f"{utt.insertions} ins, {utt.deletions} del, {utt.substitutions} sub"
    )
    rate = f"{100 * utt.wer:.0f} %" if utt.num_reference_words else "no word was said"
    return (
        f"<article><h3>{escape(utt.utt_id)} "
        f'<span class="quiet">{rate} [ {counts} ]</span></h3>'
        f'<div class="pairs">{words}</div></article>'
    )


def _facts_section(title: str, pairs: Sequence[tuple[str, str]]) -> str:
    if not pairs:
        return ""
    items = "".join(f"<dt>{escape(label)}</dt><dd>{escape(text)}</dd>" for label, text in pairs)
    return f"<section><h2>{escape(title)}</h2><dl>{items}</dl></section>"


def _stages_section(stage_seconds: Mapping[str, float], stage_bytes: Mapping[str, int]) -> str:
    if not stage_seconds:
        return ""
    longest = max(1e-9, *stage_seconds.values())
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{clock(seconds)}</td>'
        f"<td>{size(stage_bytes[name]) if name in stage_bytes else ''}</td>"
        f'<td class="bar"><span style="width:{100 * seconds / longest:.1f}%"></span></td></tr>'
        for name, seconds in stage_seconds.items()
    )
    return (
        '<section><h2>Time and size of each stage</h2><table class="stages">'
        f"<tbody>{rows}</tbody></table></section>"
    )
