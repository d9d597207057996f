"""A picture of the decision trees of one phone."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import shorten

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from asr_kd.lang.tree_outline import Branch
from asr_kd.report.plot_style import INK, STYLE

_LEAF_HEIGHT = 0.24  # inches
_LEVEL_WIDTH = 1.9  # inches
_TITLE_HEIGHT = 0.4  # inches
_NUM_LETTERS = 34
_YES, _NO = "#1f9e74", "#c8504b"


def tree_picture(branches: Sequence[Branch], phone: str) -> Figure:
    """Draw the tree of each state, the root on the left and a line for each senone.

    Args:
        branches: The roots; see :func:`asr_kd.lang.tree_outline.phone_branches`.
        phone: Its name.
    """
    sizes = [branch.num_senones for branch in branches]
    depth = max(_depth(branch) for branch in branches)
    size = ((depth + 1.4) * _LEVEL_WIDTH, sum(sizes) * _LEAF_HEIGHT + len(sizes) * _TITLE_HEIGHT)
    with mpl.rc_context({**STYLE, "axes.grid": False}):
        figure = Figure(figsize=size, layout="constrained")
        panels = figure.subplots(len(branches), 1, squeeze=False, height_ratios=sizes)[:, 0]
        for state, (axes, branch) in enumerate(zip(panels, branches, strict=True), start=1):
            axes.set_title(
                f"{phone}, state {state}: {branch.num_senones} senones, {branch.num_frames:,} frames"
            )
            axes.set_axis_off()
            axes.set_xlim(0, depth + 1.4)
            axes.set_ylim(branch.num_senones, 0)
            _draw(axes, branch, 0, 0.0)
    return figure


def _depth(branch: Branch) -> int:
    return 1 + max(_depth(child) for child in branch.children) if branch.children else 0


def _draw(axes: Axes, branch: Branch, level: int, top: float) -> float:
    """Draw a node whose leaves begin at the line ``top``; return the height of the node."""
    if not branch.children:
        axes.text(level + 0.05, top + 0.5, branch.text, va="center", fontsize=7.5)
        return top + 0.5
    heights = []
    for child in branch.children:
        heights.append(_draw(axes, child, level + 1, top))
        top += child.num_senones
    middle = sum(heights) / 2
    for height, colour in zip(heights, (_YES, _NO), strict=True):
        axes.plot([level, level + 0.12, level + 1], [middle, height, height], color=colour, linewidth=1)
    text = shorten(branch.text, _NUM_LETTERS, placeholder=" ...?")
    axes.text(
        level + 0.1,
        middle,
        text,
        va="center",
        fontsize=7,
        color=INK,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.5},
    )
    return middle
