"""``shards info`` and ``shards verify``."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from asr_kd.distill.shard_set import open_shard_set

app = typer.Typer(no_args_is_help=True, help="Look at posterior shard sets.")

ShardsArgument = Annotated[
    str, typer.Argument(metavar="SHARDS", help="Folder or URL of a posterior shard set.")
]


@app.command()
def info(shards: ShardsArgument) -> None:
    """Print what a shard set was made from, and its size."""
    header = open_shard_set(shards).header
    table = Table(show_header=False, box=None)
    sizes = ", ".join(f"{name} {value:.1f}" for name, value in header.bytes_per_frame().items())
    code = " ".join(f"{key}={value}" for key, value in header.code.model_dump().items())
    for name, value in (
        ("format", header.format_version),
        ("averaging", header.averaging),
        ("temperature", f"{header.temperature:g}"),
        ("code", code),
        ("teachers", len(header.teachers)),
        ("frontend", f"{header.frontend['name']}, {header.feature_dim} values, cmvn {header.cmvn}"),
        ("senones", header.num_senones),
        ("bytes/frame", sizes),
    ):
        table.add_row(str(name), str(value))
    for split, infos in header.splits.items():
        frames = sum(shard.num_frames for shard in infos)
        samples = sum(shard.num_samples for shard in infos)
        table.add_row(f"split {split}", f"{samples:,} utterances, {frames:,} frames in {len(infos)} shards")
    Console().print(table, markup=False)


@app.command()
def verify(shards: ShardsArgument) -> None:
    """Read a whole shard set: checksums, counts, lengths, decoding, doubled and missing shards."""
    shard_set = open_shard_set(shards)
    shard_set.verify()
    splits = tuple(shard_set.header.splits)
    print(f"{shards}: {shard_set.header.num_frames(splits):,} frames of {', '.join(splits)} are whole")
