"""What the plots share: sizes, colours of systems, legends, and their bytes as SVG or PNG."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from asr_kd.report.results import BASELINE, CONTROL, ENSEMBLE, STUDENT, TEACHER

# Near black in a PNG; in an SVG replaced by currentColor, so that it follows the page's dark mode.
INK = "#0a0b0c"
_GRID = "#80808055"
COLOURS = {
    BASELINE: "#3b82c4",
    CONTROL: "#8e5bb5",
    ENSEMBLE: "#e08a1e",
    STUDENT: "#1f9e74",
    TEACHER: "#8b919b",
}
_OTHER_COLOURS = ("#b565a7", "#a3793b", "#6d6fd0", "#c8504b")

# Any: matplotlib types its keys in some versions and not in others.
STYLE: Any = {
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": _GRID,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 8,
    # A speaker may be called "$1$"; it is a name and no formula.
    "text.parse_math": False,
}
WIDTH = 4.8  # inches: small, so that letters stay legible where a phone shrinks the plot
_LEGEND_COLUMNS = 3


def render(figure: Figure, name: str, kind: Literal["svg", "png"] = "svg") -> bytes:
    """Return a figure as the bytes of an SVG element (to stand in a page) or of a PNG file.

    Args:
        figure: From one of the functions below.
        name: Unique in the page: it keeps the SVG's ids apart from those of other plots.
        kind: ``svg`` or ``png``.
    """
    stream = io.BytesIO()
    if kind == "png":
        figure.savefig(stream, format="png", dpi=150, facecolor="white", metadata={"Software": None})
        return stream.getvalue()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
    return _inline(stream.getvalue().decode(), name).encode()


def _inline(svg: str, name: str) -> str:
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    return svg.replace("<svg ", '<svg role="img" ', 1).replace(INK, "currentColor").strip() + "\n"


def legend_below(figure: Figure, axes: Axes) -> None:
    """Put the legend under the plot, where it covers no dot."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), _LEGEND_COLUMNS))


def system_colours(systems: Sequence[str]) -> dict[str, str]:
    """Return a colour for each system: its own for the usual ones, the next free one for others."""
    colours: dict[str, str] = {}
    num_others = 0
    for system in dict.fromkeys(systems):
        if system in COLOURS:
            colours[system] = COLOURS[system]
        else:
            colours[system] = _OTHER_COLOURS[num_others % len(_OTHER_COLOURS)]
            num_others += 1
    return colours
