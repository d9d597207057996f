"""Plots of a result, as SVG for the page or as PNG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import NullLocator

from asr_kd.report.cells import parameters
from asr_kd.report.plot_style import COLOURS, INK, STYLE, WIDTH, legend_below, system_colours
from asr_kd.report.results import (
    ENSEMBLE,
    TEACHER,
    CalibrationCurve,
    GainCurve,
    Measure,
    PhoneConfusion,
    Results,
    TeacherAgreement,
    TuningSurface,
)
from asr_kd.report.results import TrainingCurve as Curve
from asr_kd.report.sweeps import Sweep, point_label, systems_of
from asr_kd.score.wer import WerResult, score_by_group

_MAX_LEVEL_NAMES = 5
_LONGEST_LABEL = 40
_MAX_SPEAKERS = 40
_MAX_NUMBERED_CELLS = 80


def training_curves(curves: Sequence[Curve]) -> Figure:
    """Plot frame accuracy and loss over epochs; solid on dev, dashed on the training frames."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 5.2), layout="constrained")
        accuracy, loss = figure.subplots(2, 1, sharex=True)
        colours = system_colours([curve.system for curve in curves])
        for curve in curves:
            colour, thin = colours[curve.system], curve.system == TEACHER
            for axes, dev, train, scale in (
                (accuracy, curve.dev_frame_accuracy, curve.train_frame_accuracy, 100.0),
                (loss, curve.dev_loss, curve.train_loss, 1.0),
            ):
                for values, style in ((dev, "-"), (train, "--")):
                    if values:
                        scaled = [scale * value for value in values]
                        width = 0.8 if thin or style == "--" else 1.8
                        marker = "o" if len(scaled) == 1 else None
                        axes.plot(curve.epochs, scaled, style, color=colour, linewidth=width, marker=marker)
        accuracy.set_title("frame accuracy, %")
        loss.set_title("loss, nats a frame")
        loss.set_xlabel("epoch")
        loss.xaxis.get_major_locator().set_params(integer=True)
        handles = [Line2D([], [], color=colour, label=system) for system, colour in colours.items()]
        handles.append(Line2D([], [], color=INK, linestyle="-", linewidth=0.8, label="dev"))
        handles.append(Line2D([], [], color=INK, linestyle="--", linewidth=0.8, label="train"))
        accuracy.legend(handles=handles, loc="lower right", ncols=2)
    return figure


def rates_by_system(results: Results, split: str) -> Figure:
    """Plot frame accuracy and WER of every system on one split with their intervals."""
    rows = [row for row in results.rows if row.split == split]
    panels: list[tuple[str, list[Measure | None]]] = [
        ("frame accuracy, % (right is better)", [row.frame_accuracy for row in rows]),
        ("WER, % (left is better)", [row.wer for row in rows]),
    ]
    panels = [(title, measures) for title, measures in panels if any(measures)]
    assert panels, "a split without any rate has no plot"
    with mpl.rc_context(STYLE):
        height = (0.75 + 0.28 * len(rows)) * len(panels)
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        colours = system_colours([row.system for row in rows])
        for index, (title, measures) in enumerate(panels):
            axes = figure.add_subplot(len(panels), 1, index + 1)
            for place, (row, measure) in enumerate(zip(rows, measures, strict=True)):
                if measure is not None:
                    _point(axes, place, measure, colours[row.system])
            axes.set_title(title)
            axes.set_yticks(range(len(rows)), [row.system for row in rows])
            axes.set_ylim(len(rows) - 0.5, -0.5)
    return figure


def _point(axes: Axes, place: int, measure: Measure, colour: str) -> None:
    """Draw a rate in per cent with its interval, and its deviation over seeds as a thicker bar."""
    mean = 100 * measure.mean
    if measure.interval is not None:
        ends = [100 * measure.interval.low, 100 * measure.interval.high]
        axes.plot(ends, [place, place], color=colour, linewidth=1.6)
    if measure.sd is not None:
        ends = [mean - 100 * measure.sd, mean + 100 * measure.sd]
        axes.plot(ends, [place, place], color=colour, linewidth=5, alpha=0.45, solid_capstyle="butt")
    axes.plot([mean], [place], "o", color=colour, markersize=6)


def tuning_surface(surface: TuningSurface) -> Figure:
    """Plot WER over acoustic scale and word insertion penalty; the frame marks what was chosen."""
    with mpl.rc_context(STYLE):
        num_scales, num_penalties = len(surface.acoustic_scales), len(surface.insertion_penalties)
        figure = Figure(figsize=(WIDTH, 1.3 + 0.3 * num_scales), layout="constrained")
        axes = figure.add_subplot()
        axes.grid(visible=False)
        per_cent = [[np.nan if value is None else 100 * value for value in row] for row in surface.wer]
        axes.pcolormesh(per_cent, cmap="viridis_r")
        if num_scales * num_penalties <= _MAX_NUMBERED_CELLS:
            _write_cells(axes, per_cent)
        scale, penalty = surface.chosen
        corner = (surface.insertion_penalties.index(penalty), surface.acoustic_scales.index(scale))
        axes.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor="#d62728", linewidth=2.4, clip_on=False))
        axes.set_xticks(
            [i + 0.5 for i in range(num_penalties)], [f"{p:g}" for p in surface.insertion_penalties]
        )
        axes.set_yticks([i + 0.5 for i in range(num_scales)], [f"{s:g}" for s in surface.acoustic_scales])
        axes.tick_params(length=0)
        axes.set_xlabel("word insertion penalty")
        axes.set_ylabel("acoustic scale")
        axes.set_title(f"WER of {surface.system} on {surface.split}, %")
    return figure


def swept(sweep: Sweep) -> Figure:
    """Plot frame accuracy, and WER where it was scored, of every system at every point of a sweep."""
    points, systems = sweep.points, systems_of(sweep.points)
    panels = [("frame accuracy, % (right is better)", [point.frame_accuracy for point in points])]
    if any(point.wer for point in points):
        panels.append(("WER, % (left is better)", [point.wer for point in points]))
    labels = [point_label(point) for point in points]
    with mpl.rc_context(STYLE):
        height = 0.4 + (0.75 + 0.24 * len(points)) * len(panels)
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        grid = figure.subplots(len(panels), 1, squeeze=False)[:, 0]
        colours = system_colours(systems)
        for axes, (title, rates) in zip(grid, panels, strict=True):
            for system in systems:
                places = [place for place, each in enumerate(rates) if system in each]
                if not places:
                    continue
                seeds = [[100 * rate for rate in rates[place][system]] for place in places]
                axes.errorbar(
                    [np.mean(each) for each in seeds],
                    places,
                    xerr=[np.std(each, ddof=1) if len(each) > 1 else 0.0 for each in seeds],
                    fmt="o",
                    color=colours[system],
                    markersize=4.5,
                    label=system,
                    alpha=0.85,
                )
            axes.set_yticks(range(len(points)), [_shortened(label) for label in labels], size=8)
            axes.set_ylim(len(points) - 0.3, -0.7)
            axes.set_title(title)
        legend_below(figure, grid[0])
    return figure


def _shortened(label: str) -> str:
    return label if len(label) <= _LONGEST_LABEL else f"{label[: _LONGEST_LABEL - 1]}…"


def reliability(curves: Sequence[CalibrationCurve]) -> Figure:
    """Plot accuracy over confidence; on the diagonal a system is as often right as it says."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, WIDTH), layout="constrained")
        axes = figure.add_subplot()
        axes.plot([0, 100], [0, 100], "--", color=INK, linewidth=0.8)
        colours = system_colours([curve.system for curve in curves])
        for curve in curves:
            axes.plot(
                [100 * value for value in curve.confidence],
                [100 * value for value in curve.accuracy],
                "o-",
                color=colours[curve.system],
                markersize=3.5,
                linewidth=1.4,
                label=f"{curve.system}: ECE {100 * curve.expected_error:.1f} points",
            )
        axes.set_xlim(0, 100)
        axes.set_ylim(0, 100)
        axes.set_aspect("equal")
        axes.set_xlabel("posterior of the best senone, %")
        axes.set_title("frames whose best senone is the aligned one, %")
        axes.legend(loc="upper left")
    return figure


def phone_confusions(confusions: Sequence[PhoneConfusion]) -> Figure:
    """Plot the share of all frames for each pair of phones, one dot a system."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 1.4 + 0.2 * len(confusions)), layout="constrained")
        axes = figure.add_subplot()
        systems = list(confusions[0].share)
        colours = system_colours(systems)
        places = range(len(confusions))
        for system in systems:
            shares = [100 * pair.share[system] for pair in confusions]
            axes.plot(shares, places, "o", color=colours[system], markersize=4.5, label=system, alpha=0.85)
        axes.set_yticks(places, [f"{pair.aligned} as {pair.found}" for pair in confusions], size=8)
        axes.set_ylim(len(confusions) - 0.3, -0.7)
        axes.set_xlim(left=0)
        axes.set_xlabel("% of all frames")
        axes.set_title("phones taken for another one")
        legend_below(figure, axes)
    return figure


def teacher_agreement(agreement: TeacherAgreement) -> Figure:
    """Plot on how many frames two nets differ, and how many nets are right on how many frames."""
    with mpl.rc_context(STYLE):
        num_nets = len(agreement.nets)
        figure = Figure(figsize=(WIDTH, 3.2 + 0.3 * num_nets), layout="constrained")
        pairs, right = figure.subplots(2, 1, height_ratios=[0.5 + 0.3 * num_nets, 2])
        pairs.grid(visible=False)
        differ = [
            [np.nan if row == column else 100 * (1 - share) for column, share in enumerate(shares)]
            for row, shares in enumerate(agreement.same)
        ]
        pairs.pcolormesh(differ, cmap="viridis_r")
        if num_nets**2 <= _MAX_NUMBERED_CELLS:
            _write_cells(pairs, differ)
        middles = [number + 0.5 for number in range(num_nets)]
        pairs.set_yticks(middles, agreement.nets)
        pairs.set_xticks(middles, agreement.nets, rotation=0 if num_nets <= _MAX_LEVEL_NAMES else 90)
        pairs.tick_params(length=0)
        pairs.invert_yaxis()
        pairs.set_title("two nets find different senones, % of frames")
        right.bar(range(num_nets + 1), [100 * share for share in agreement.by_right], color=COLOURS[TEACHER])
        right.set_xticks(range(num_nets + 1))
        right.set_xlabel("number of nets that are right")
        right.set_ylabel("% of frames")
    return figure


def teacher_gain(curve: GainCurve) -> Figure:
    """Plot frame accuracy, ± its deviation over sets of nets, against the number of nets averaged."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 2.6), layout="constrained")
        axes = figure.add_subplot()
        axes.errorbar(
            curve.num_teachers,
            [100 * rate for rate in curve.accuracy],
            yerr=[100 * sd for sd in curve.sd],
            color=COLOURS[ENSEMBLE],
            marker="o",
            capsize=3,
        )
        axes.set_xticks(curve.num_teachers)
        axes.set_xlabel("nets averaged")
        axes.set_title("frame accuracy, %")
    return figure


def sizes(results: Results, split: str) -> Figure:
    """Plot each system's WER on one split against the parameters that a frame passes through."""
    points = [
        (row.system, row.num_parameters, 100 * row.wer.mean)
        for row in results.rows
        if row.split == split and row.num_parameters and row.wer
    ]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 3.2), layout="constrained")
        axes = figure.add_subplot()
        colours = system_colours([system for system, _, _ in points])
        for system, size, rate in points:
            axes.plot([size], [rate], "o", color=colours[system], label=system)
        axes.set_xscale("log")
        axes.margins(x=0.1, y=0.1)
        ticks = sorted({size for _, size, _ in points})
        axes.xaxis.set_minor_locator(
            NullLocator()
        )  # its labels would be formulas, which STYLE does not parse
        axes.set_xticks(ticks, [parameters(size) for size in ticks])
        axes.set_xlabel("parameters")
        axes.set_title("WER, %")
        legend_below(figure, axes)
    return figure


def _write_cells(axes: Axes, values: Sequence[Sequence[float]]) -> None:
    """Write each value into its cell, in white where the colour map is dark."""
    middle = (np.nanmin(values) + np.nanmax(values)) / 2
    for row, columns in enumerate(values):
        for column, value in enumerate(columns):
            if np.isnan(value):
                continue  # a point that the search did not try
            colour = "#ffffff" if value > middle else "#000000"
            axes.text(column + 0.5, row + 0.5, f"{value:.1f}", ha="center", va="center", color=colour, size=8)


def speaker_wer(systems: Mapping[str, WerResult], speakers: Mapping[str, str]) -> Figure:
    """Plot the WER of every speaker who said a word, those worst in the last system on top.

    Args:
        systems: Scores by system, on the same utterances.
        speakers: Speaker by utt_id.
    """
    by_system = {name: score_by_group(result, speakers) for name, result in systems.items()}
    last = by_system[list(by_system)[-1]]
    spoke = [speaker for speaker in last if last[speaker].num_reference_words]
    ranked = sorted(spoke, key=lambda speaker: (-last[speaker].wer, speaker))
    shown = ranked[:_MAX_SPEAKERS]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 1.4 + 0.17 * len(shown)), layout="constrained")
        axes = figure.add_subplot()
        colours = system_colours(list(by_system))
        places = range(len(shown))
        for name, groups in by_system.items():
            rates = [100 * groups[speaker].wer for speaker in shown]
            axes.plot(rates, places, "o", color=colours[name], markersize=4.5, label=name, alpha=0.85)
        axes.set_yticks(places, shown, size=8)
        axes.set_ylim(len(shown) - 0.3, -0.7)
        axes.set_xlim(left=0)
        axes.set_xlabel("WER, %")
        some = f"worst {len(shown)} of {len(ranked)} speakers" if len(shown) < len(ranked) else "speakers"
        axes.set_title(some)
        legend_below(figure, axes)
    return figure
