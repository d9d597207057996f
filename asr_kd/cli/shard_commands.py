"""``shards info``, ``verify``, ``bench``, ``teachers``, ``divergence`` and ``plan``."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from asr_kd.am.checkpoint import load_model
from asr_kd.am.device import usable_device
from asr_kd.distill.divergence import split_divergence
from asr_kd.distill.plan import Budget, CodeEstimate, choose, make_plan
from asr_kd.distill.sampled_code import Sampled
from asr_kd.distill.shard_set import open_shard_set
from asr_kd.distill.shard_tools import ShardsInfo, shards_bench, shards_info, shards_verify
from asr_kd.distill.sparse import code_text
from asr_kd.distill.teacher_gain import teacher_gain
from asr_kd.errors import ConfigError, StageError
from asr_kd.recogniser import System
from asr_kd.stages.base import WorkDir
from asr_kd.stages.ensemble import EnsembleStage
from asr_kd.stages.posterior_sample import sample_posteriors
from asr_kd.stages.recipe import Recipe

_PLAN_COLUMNS = ("B/frame", "total MB", "KL mean", "KL p99", "TV", "top-1 %", "mass %", "kept", "writing s")

app = typer.Typer(no_args_is_help=True, help="Look at posterior shard sets.")

ShardsArgument = Annotated[
    str, typer.Argument(metavar="SHARDS", help="Folder or URL of a posterior shard set.")
]


@app.command()
def info(shards: ShardsArgument) -> None:
    """Print what a shard set was made from, and its size."""
    _print_info(shards_info(shards))


@app.command()
def verify(shards: ShardsArgument) -> None:
    """Read a whole shard set: checksums, counts, lengths, decoding, doubled and missing shards."""
    found = shards_verify(shards)
    num_frames = sum(split.num_frames for split in found.splits)
    names = ", ".join(split.split for split in found.splits)
    print(f"{shards}: {num_frames:,} frames of {names} are whole")


@app.command()
def bench(
    shards: ShardsArgument,
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, help="Frames of a batch.")] = 1024,
    device: Annotated[str, typer.Option("--device", help="To decode on, such as cuda.")] = "cpu",
) -> None:
    """Measure frames a second read, decoded, and gathered into training batches."""
    rates = shards_bench(shards, batch_size=batch_size, device=str(usable_device(device)))
    table = Table("frames/s", "")
    for name, rate in (
        ("read and checked", rates.read),
        ("read and decoded", rates.decoded),
        ("training batches, first epoch", rates.batches),
        ("training batches, later epochs", rates.batches_in_memory),
    ):
        table.add_row(name, f"{rate:,.0f}")
    Console().print(table, markup=False)


@app.command()
def teachers(
    shards: ShardsArgument,
    split: Annotated[str, typer.Option("--split", help="Whose labelled frames are counted.")] = "dev",
    max_subsets: Annotated[
        int, typer.Option("--max-subsets", min=1, help="Most sets of teachers of one size.")
    ] = 100,
) -> None:
    """Draw the gain against the number of teachers from stored posteriors, without their nets."""
    gain = teacher_gain(shards, split, max_subsets)
    table = Table(title=f"{split}: {gain.num_frames:,} labelled frames", title_justify="left")
    for column in ("teachers", "sets", "frame accuracy %", "sd"):
        table.add_column(column, justify="right")
    for row in gain.rows:
        table.add_row(
            str(row.num_teachers),
            str(row.num_subsets),
            f"{100 * row.accuracy:.2f}",
            f"{100 * row.sd:.2f}" if row.num_subsets > 1 else "",
        )
    table.add_row("stored mean", "", f"{100 * gain.stored_mean:.2f}", "")
    Console().print(table, markup=False)


@app.command()
def divergence(
    shards: ShardsArgument,
    models: Annotated[list[Path], typer.Argument(metavar="MODEL...", help="Model directories.")],
    splits: Annotated[
        list[str] | None, typer.Option("--split", help="May be repeated (default: train and dev).")
    ] = None,
    frames: Annotated[int, typer.Option("--frames", min=1, help="Most frames of a split.")] = 100_000,
) -> None:
    """Tell how far nets are from the targets: what limits a student, its size and training or its data?

    A net that is far from the frames that it learnt lacks size, steps or freedom; one that is near them but
    far from dev lacks data to learn from, such as views or audio without text. Targets of the code sampled
    tell the cross entropy alone.
    """
    shard_set = open_shard_set(shards)
    temperature = shard_set.header.temperature
    table = Table(title=f"nats a frame at temperature {temperature:g}", title_justify="left")
    table.add_column("net")
    for column in ("split", "frames", "targets' entropy", "cross entropy", "KL", "agree %", "frame acc. %"):
        table.add_column(column, justify="right")
    for path in models:
        model = load_model(path)
        for split in splits or ["train", "dev"]:
            found = split_divergence(shard_set, split, model, frames)
            table.add_row(
                Text(path.name),
                split,
                f"{found.num_frames:,}",
                _nats(found.entropy),
                _nats(found.cross_entropy),
                _nats(found.divergence),
                _percent(found.agreement),
                _percent(found.accuracy),
            )
    Console(width=None if Console().is_terminal else 130).print(table)
    if isinstance(shard_set.header.code, Sampled):
        print(
            "-: the code sampled stores draws, whose entropy and best senone are not the posteriors'; "
            "compare nets by their cross entropy, or take shards of another code"
        )


def _nats(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f}"


def _print_info(found: ShardsInfo) -> None:
    table = Table(show_header=False, box=None)
    sizes = ", ".join(f"{name} {value:.1f}" for name, value in found.bytes_per_frame.items())
    for name, value in [*found.facts.items(), ("bytes/frame", sizes)]:
        table.add_row(name, value)
    for split in found.splits:
        counts = f"{split.num_samples:,} samples, {split.num_frames:,} frames in {split.num_shards} shards"
        table.add_row(f"split {split.split}", counts)
    Console().print(table, markup=False)


@app.command()
def plan(
    work_dir: Annotated[Path, typer.Argument(metavar="WORKDIR", help="A work folder with trained teachers.")],
    utterances: Annotated[int, typer.Option("--utterances", min=1, help="Size of the sample.")] = 40,
    max_bytes: Annotated[
        float | None, typer.Option("--max-bytes-per-frame", help="Budget: targets' bytes a frame.")
    ] = None,
    max_divergence: Annotated[
        float | None, typer.Option("--max-divergence", help="Budget: mean KL(dense || stored) in nats.")
    ] = None,
    device: Annotated[
        str | None, typer.Option("--device", help="Of nets and codes, such as cuda (default: the recipe's).")
    ] = None,
) -> None:
    """Label a sample and predict, for several codes, size, error and writing time of the shards."""
    budget = _budget(max_bytes, max_divergence)
    work = WorkDir(work_dir)
    if not work.run_facts.is_file():
        raise StageError("not a work folder", where=work_dir, expected=work.run_facts.name)
    settings = json.loads(work.run_facts.read_text(encoding="utf-8"))["recipe"]
    if settings.get("kind", "speech") != "speech":
        raise StageError(
            "a plan is made for speech", where=work_dir, expected="kind speech", got=settings["kind"]
        )
    recipe = Recipe.model_validate(settings)
    place = str(usable_device(device) if device else recipe.train.torch_device())
    system = System.load(recipe.ensemble.system(recipe.teachers.count), work.models, place)
    start = time.perf_counter()
    config = recipe.ensemble
    sample = sample_posteriors(work, system, config.temperature, config.averaging, system.weights, utterances)
    labelling_rate = sum(len(log_q) for _, log_q in sample) / (time.perf_counter() - start)
    estimates = make_plan(sample)
    frame_shift = next(iter(system.frontends().values())).frame_shift
    stage = EnsembleStage(
        config, recipe.teachers.count, recipe.student_net(), recipe.views, None, recipe.teachers.folds
    )
    _print_plan(estimates, stage.num_frames(work, frame_shift), labelling_rate)
    if budget is not None:
        print(f"within the budget: {code_text(choose(estimates, budget).config)}")


def _budget(max_bytes: float | None, max_divergence: float | None) -> Budget | None:
    """Return the bounds that were given, or None without any.

    Raises:
        ConfigError: For one that nothing fits.
    """
    bounds = {"--max-bytes-per-frame": max_bytes, "--max-divergence": max_divergence}
    given = {option: value for option, value in bounds.items() if value is not None}
    for option, value in given.items():
        if not value > 0:  # nor is nan
            raise ConfigError(
                "a budget that no code fits", where=option, expected="a number above 0", got=f"{value:g}"
            )
    return Budget(max_bytes_per_frame=max_bytes, max_divergence=max_divergence) if given else None


def _print_plan(estimates: list[CodeEstimate], num_frames: int, labelling_rate: float) -> None:
    table = Table(
        title=f"{num_frames:,} frames, labelled at {labelling_rate:,.0f} frames/s", title_justify="left"
    )
    table.add_column("code")
    for column in (
        "B/frame",
        "total MB",
        "KL mean",
        "KL p99",
        "TV",
        "top-1 %",
        "mass %",
        "kept",
        "writing s",
    ):
        table.add_column(column, justify="right")
    for estimate in estimates:
        table.add_row(
            code_text(estimate.config),
            f"{estimate.bytes_per_frame:.1f}",
            f"{estimate.total_bytes(num_frames) / 1e6:,.1f}",
            f"{estimate.divergence:.5f}",
            f"{estimate.divergence_p99:.5f}",
            f"{estimate.total_variation:.5f}",
            f"{100 * estimate.top1_agreement:.2f}",
            f"{100 * estimate.mass_kept:.2f}",
            f"{estimate.senones_kept:.1f}",
            f"{estimate.writing_seconds(num_frames) + num_frames / labelling_rate:,.0f}",
        )
    Console(width=None if Console().is_terminal else 130).print(table, markup=False)
