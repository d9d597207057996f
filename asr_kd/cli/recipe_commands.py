"""``run``, ``stages``, ``recipes`` and ``train-student``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from asr_kd.cli.show import print_sweep
from asr_kd.config import find_recipe, known_recipes, load_any_recipe, load_recipe
from asr_kd.errors import ConfigError
from asr_kd.experiment import open_pipeline
from asr_kd.pipeline import Pipeline, StageStatus
from asr_kd.progress import say
from asr_kd.report.error_results import print_error_results, read_error_results
from asr_kd.report.results import read_results
from asr_kd.report.sweeps import SWEEP_FILE
from asr_kd.report.tables import print_results
from asr_kd.stages.base import Stage, WorkDir
from asr_kd.stages.images.score import ImageScoreStage
from asr_kd.stages.provenance import describe_run
from asr_kd.stages.report import ReportStage
from asr_kd.stages.score import RESULTS_FILE, ScoreStage
from asr_kd.stages.student import StudentStage
from asr_kd.stages.student_training import StudentPlan, train_student_elsewhere
from asr_kd.sweep import TUNED_SPLIT, parse_grid, run_sweep
from asr_kd.train import distributed
from asr_kd.train.launcher import LauncherName, launcher

RecipeArgument = Annotated[str, typer.Argument(metavar="RECIPE", help="A recipe's name or folder.")]
CorpusOption = Annotated[
    Path | None,
    typer.Option("--corpus", metavar="DIR", help="The corpus on disk; else it is made or downloaded."),
]
WorkOption = Annotated[
    Path | None, typer.Option("--work", metavar="DIR", help="Work folder (default: work/RECIPE-PROFILE).")
]
ProfileOption = Annotated[str, typer.Option("--profile", help="A profile of the recipe, such as smoke.")]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="A.B=C", help="Override a setting; may be repeated.")
]
LauncherOption = Annotated[
    LauncherName,
    typer.Option("--launcher", help="Where independent nets are trained and decoded."),
]


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command()(run)
    app.command()(stages)
    app.command()(sweep)
    app.command()(recipes)
    app.command("train-student")(train_student_command)


def run(
    recipe: RecipeArgument,
    corpus: CorpusOption = None,
    work: WorkOption = None,
    profile: ProfileOption = "default",
    from_stage: Annotated[str | None, typer.Option("--from-stage", metavar="S", help="First stage.")] = None,
    to_stage: Annotated[str | None, typer.Option("--to-stage", metavar="S", help="Last stage.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Redo the selected stages.")] = False,
    overrides: SetOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    launched_by: LauncherOption = LauncherName.LOCAL,
) -> None:
    """Run a recipe's stages in order; what is done is skipped, so an interrupted run goes on."""
    with distributed.process_group(), launcher(launched_by):
        pipeline = _open(recipe, corpus, work, profile, overrides or [])
        say(f"work folder: {pipeline.work.root}")
        pipeline.run(from_stage, to_stage, force=force, dry_run=dry_run)
        if not distributed.is_first():
            return
    if not dry_run:
        _print_results(pipeline.select(from_stage, to_stage)[-1], pipeline.work.root / RESULTS_FILE)


def stages(
    recipe: RecipeArgument,
    work: WorkOption = None,
    profile: ProfileOption = "default",
    overrides: SetOption = None,
) -> None:
    """Show the state of each stage, its outputs and its time."""
    pipeline = _open(recipe, None, work, profile, overrides or [])
    table = Table(title=str(pipeline.work.root), title_justify="left")
    for column in ("stage", "state", "time", "outputs"):
        table.add_column(column, justify="right" if column == "time" else "left")
    for status in pipeline.status():
        table.add_row(status.stage.name, _state(status), _seconds(status), _outputs(status, pipeline))
    Console().print(table)


def sweep(
    recipe: RecipeArgument,
    grid: Annotated[
        list[str], typer.Option("--grid", metavar="A.B=1,2,4", help="Values of a setting; may be repeated.")
    ],
    corpus: CorpusOption = None,
    work: WorkOption = None,
    profile: ProfileOption = "default",
    to_stage: Annotated[
        str, typer.Option("--to-stage", metavar="S", help="student: frame accuracy alone; score: WER too.")
    ] = ScoreStage.name,
    overrides: SetOption = None,
    launched_by: LauncherOption = LauncherName.LOCAL,
) -> None:
    """Run a recipe at every point of a grid, compared on dev; finished stages are shared, test is left alone.

    Starts from the work folder of `asr-kd run` where there is one.
    """
    if distributed.num_started() > 1:
        raise ConfigError(
            "a sweep is run by one process",
            where="torchrun",
            got=f"{distributed.num_started()} ranks",
            hint="start asr-kd sweep without torchrun; --launcher ray takes all machines",
        )
    if to_stage not in (StudentStage.name, ScoreStage.name):
        raise ConfigError("a sweep ends with student or score", where="--to-stage", got=to_stage)
    settings = load_recipe(find_recipe(recipe), profile, overrides or [])
    base = work or Path("work") / f"{settings.name}-{profile}"
    fixed = [*(overrides or []), f"decode.splits=[{TUNED_SPLIT}]"]

    def open_point(point: Sequence[str], place: Path) -> Pipeline:
        return _open(recipe, corpus, place, profile, [*fixed, *point])

    folder = WorkDir(base).sweeps
    with launcher(launched_by):
        rows = run_sweep(parse_grid(grid), open_point, base, folder, to_stage, overrides or [])
    print_sweep(rows)
    say(f"numbers of all sweeps: {folder / SWEEP_FILE}")
    say("on the page of a finished run: asr-kd run with --from-stage report --force")


def recipes() -> None:
    """List the recipes that come with asr-kd."""
    for folder in known_recipes():
        recipe = load_any_recipe(folder)
        print(f"{folder.name:18} {recipe.description}")


def train_student_command(
    shards: Annotated[str, typer.Argument(metavar="SHARDS", help="A posterior shard set.")],
    recipe: Annotated[str, typer.Option("--recipe", help="The recipe's name or folder.")],
    out: Annotated[
        Path,
        typer.Option(
            "--out", metavar="DIR", help="Where the student's model directory goes; it holds nothing else."
        ),
    ],
    profile: ProfileOption = "default",
    overrides: SetOption = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Instead of the recipe's.")] = None,
    start: Annotated[
        Path | None,
        typer.Option("--start", metavar="MODEL", help="Model directory whose weights it begins with."),
    ] = None,
) -> None:
    """Train a student from a shard set and a recipe alone, on this machine or another."""
    settings = load_recipe(find_recipe(recipe), profile, overrides or [])
    net = settings.student_net()
    net = net if seed is None else net.model_copy(update={"seed": seed})
    folder = out.resolve()  # "." has no name
    training = folder.parent / f"{folder.name}-training"
    plan = StudentPlan(shards, settings.student, net, folder, training, start=start)
    with distributed.process_group():
        card = train_student_elsewhere(plan)
        if not distributed.is_first():
            return
    print(f"dev frame accuracy {100 * card.provenance['dev_frame_accuracy']:.2f} %, model in {out}")


def _open(
    recipe: str, corpus: Path | None, work: Path | None, profile: str, overrides: list[str]
) -> Pipeline:
    folder = find_recipe(recipe)
    settings = load_any_recipe(folder, profile, overrides)
    if corpus is not None and not corpus.is_dir():
        raise ConfigError("no such folder", where=f"--corpus {corpus}")
    place = work or Path("work") / f"{settings.name}-{profile}"
    return open_pipeline(settings, folder, place, corpus, describe_run(settings.name, profile, sys.argv))


def _print_results(last: Stage, results: Path) -> None:
    """Print the results of a run whose last stage wrote or showed them."""
    if isinstance(last, ReportStage):
        print_results(read_results(results))
    elif isinstance(last, ImageScoreStage):
        print_error_results(read_error_results(results))


def _state(status: StageStatus) -> str:
    if not status.changes:
        return status.state.value
    return f"{status.state.value}: {'; '.join(status.changes)}"


def _seconds(status: StageStatus) -> str:
    return f"{status.marker['seconds']:,.1f} s" if status.marker else ""


def _outputs(status: StageStatus, pipeline: Pipeline) -> str:
    paths = [path.relative_to(pipeline.work.root) for path in status.stage.outputs(pipeline.work)]
    shown = " ".join(str(path) for path in paths[:4])
    return shown if len(paths) <= 4 else f"{shown} ... ({len(paths)})"
