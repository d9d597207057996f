"""``tree``: the senones of one phone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from asr_kd.atomic import atomic_path
from asr_kd.errors import ConfigError
from asr_kd.lang.tree_outline import Branch, outline, phone_branches
from asr_kd.progress import say
from asr_kd.stages.base import WorkDir
from asr_kd.stages.labels import read_hmm, read_pdf_counts

_KINDS = (".svg", ".png")


def register(app: typer.Typer) -> None:
    """Add this command to the command line."""
    app.command()(tree)


def tree(
    work: Annotated[Path, typer.Argument(metavar="WORKDIR", help="Where the align stage is done.")],
    phone: Annotated[str, typer.Option("--phone", help="A phone of the lexicon, such as AH.")],
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="Also draw it: .svg or .png.")
    ] = None,
) -> None:
    """Print the decision tree of each state of a phone."""
    if output is not None and output.suffix.lower() not in _KINDS:
        raise ConfigError(
            "not a kind of picture", where=output, expected=" or ".join(_KINDS), got=output.suffix or "none"
        )
    place = WorkDir(work)
    branches = phone_branches(read_hmm(place).tree, phone, read_pdf_counts(place).tolist())
    for line in outline(branches, phone):
        print(line)
    if output is not None:
        _draw(branches, phone, output)


def _draw(branches: list[Branch], phone: str, output: Path) -> None:
    # Matplotlib takes a second to load.
    from asr_kd.report.plot_style import render
    from asr_kd.report.tree_picture import tree_picture

    kind: Literal["png", "svg"] = "png" if output.suffix.lower() == ".png" else "svg"
    picture = render(tree_picture(branches, phone), "tree", kind)
    with atomic_path(output) as temporary:
        temporary.write_bytes(picture)
    say(f"drawn: {output}")
