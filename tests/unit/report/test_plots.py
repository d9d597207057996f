"""Plots: valid, complete, the same every time."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

from asr_kd.report import plots
from asr_kd.report.plot_style import render
from asr_kd.report.results import TuningSurface
from asr_kd.score.wer import score


def _texts(svg: bytes) -> list[str]:
    return [element.text or "" for element in ET.fromstring(svg).iter() if element.tag.endswith("}text")]


def test_every_plot_is_valid_svg_with_its_labels(run: Any) -> None:
    figures = {
        "systems": (plots.rates_by_system(run.results, "test"), ["baseline", "ensemble", "student"]),
        "training": (plots.training_curves(run.results.curves), ["epoch", "teacher", "student"]),
        "tuning": (plots.tuning_surface(run.results.tuning[0]), ["5.0", "9.0", "acoustic scale"]),
        "calibration": (plots.reliability(run.results.calibration), ["student: ECE 10.0 points"]),
        "confusions": (plots.phone_confusions(run.results.confusions), ["IH as IY", "Z as S", "ensemble"]),
        "agreement": (plots.teacher_agreement(run.results.agreement[0]), ["teacher-02", "30.0", "2"]),
        "number of teachers": (plots.teacher_gain(run.results.teacher_gain[0]), ["nets averaged", "1", "2"]),
        "sizes": (plots.sizes(run.results, "test"), ["parameters", "1.2 M", "3.6 M", "student"]),
        "speakers": (plots.speaker_wer(run.words, run.speakers), ["speaker0", "speaker9"]),
    }
    for name, (figure, labels) in figures.items():
        svg = render(figure, name)
        texts = _texts(svg)
        assert all(label in texts for label in labels), (name, texts)
        assert b"#0a0b0c" not in svg
        assert b"currentColor" in svg


def test_svg_is_the_same_every_time_and_its_ids_are_its_own(run: Any) -> None:
    first = render(plots.rates_by_system(run.results, "test"), "one")
    assert render(plots.rates_by_system(run.results, "test"), "one") == first
    ids = {element.get("id") for element in ET.fromstring(first).iter()} - {None}
    assert ids
    assert all(str(name).startswith("one-") for name in ids)


def test_png(run: Any) -> None:
    assert render(plots.training_curves(run.results.curves), "x", "png").startswith(b"\x89PNG\r\n")


def test_points_stand_at_the_means(run: Any) -> None:
    wer_axes = plots.rates_by_system(run.results, "test").axes[1]
    dots = [line.get_xdata()[0] for line in wer_axes.lines if line.get_marker() == "o"]
    assert [round(float(dot), 6) for dot in dots] == [6.0, 4.0, 4.5]


def test_gain_stands_at_its_accuracies_and_sizes_at_their_rates(run: Any) -> None:
    line = plots.teacher_gain(run.results.teacher_gain[0]).axes[0].lines[0]
    assert [(int(x), round(float(y), 6)) for x, y in line.get_xydata()] == [(1, 59.0), (2, 61.0)]
    (axes,) = plots.sizes(run.results, "test").axes
    dots = [tuple(line.get_xydata()[0]) for line in axes.lines if line.get_marker() == "o"]
    assert [(int(x), round(float(y), 6)) for x, y in dots] == [
        (1_200_000, 6.0),
        (3_600_000, 4.0),
        (1_200_000, 4.5),
    ]


def test_chosen_cell_is_framed(run: Any) -> None:
    frame = plots.tuning_surface(run.results.tuning[0]).axes[0].patches[-1]
    assert frame.get_xy() == (1, 0)  # penalty 0.0 is the second, scale 0.1 the first
    flat = TuningSurface(
        system="s", acoustic_scales=(1.0,), insertion_penalties=(0.0,), wer=((0.1,),), chosen=(1.0, 0.0)
    )
    assert render(plots.tuning_surface(flat), "flat")


def test_names_are_no_formulas_and_the_worst_speakers_come_first() -> None:
    references = {f"u{index:02}": "a b" for index in range(60)}
    hypotheses = {utt_id: "a b" if index < 50 else "a" for index, utt_id in enumerate(references)}
    speakers = {utt_id: f"$\\{index}$<{utt_id}" for index, utt_id in enumerate(references)}
    figure = plots.speaker_wer({"student": score(references, hypotheses)}, speakers)
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert len(labels) == 40
    assert labels[0] == "$\\50$<u50"
    texts = _texts(render(figure, "s"))
    assert "$\\50$<u50" in texts
    assert "worst 40 of 60 speakers" in texts


def test_a_legend_covers_no_dot_even_where_there_is_one_row(run: Any) -> None:
    shown = [
        plots.phone_confusions(run.results.confusions[:1]),
        plots.speaker_wer({name: run.words[name] for name in run.words}, dict.fromkeys(run.speakers, "one")),
        plots.sizes(run.results, "test"),
    ]
    for figure in shown:
        render(figure, "x")  # which lays it out
        (legend,), (axes,) = figure.legends, figure.axes
        frame = legend.get_window_extent()
        dots = [axes.transData.transform(line.get_xydata()) for line in axes.lines]
        assert dots
        assert not any(frame.contains(*dot) for line in dots for dot in line)
        assert not frame.overlaps(axes.get_window_extent())
