"""A sweep: one recipe run at every point of a grid; points share the finished stages that they agree on."""

from __future__ import annotations

import itertools
import os
import re
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from asr_kd.am.checkpoint import WEIGHTS_FILE, read_card
from asr_kd.atomic import atomic_dir
from asr_kd.distill.teacher_gain import stored_accuracy
from asr_kd.errors import ConfigError, StageError
from asr_kd.fingerprint import file_sha256, fingerprint
from asr_kd.pipeline import Pipeline, State
from asr_kd.progress import say
from asr_kd.report.results import BASELINE, ENSEMBLE, STUDENT
from asr_kd.report.sweeps import SWEEP_FILE, SweptPoint, gathered, read_points, write_points, yaml_text
from asr_kd.stages.score import ScoreStage, decoded_systems, read_scores
from asr_kd.stages.student import StudentStage
from asr_kd.stages.teachers import read_baselines

TUNED_SPLIT = "dev"
"""The split that a sweep may look at: what is chosen on test is not measured on test."""

_NOT_SHARED = shutil.ignore_patterns("training", ".*", "results.json", "RESULTS.md", "report.html")
_LONGEST_NAME = 80
# What a point's numbers do not depend on: settings of the whole recipe, and keys wherever they stand.
_OF_NO_POINT = {"description", "score"}
_IDENTIFY_NOTHING = {"num_processes", "checkpoint_seconds", "together"}

OpenPipeline = Callable[[Sequence[str], Path], Pipeline]
"""Returns the pipeline of the swept recipe with further overrides over a work folder, and changes nothing."""


@dataclass(frozen=True)
class GridPoint:
    """One combination of settings.

    Attributes:
        values: Value by setting, as ``a.b``.
    """

    values: dict[str, Any]

    @property
    def overrides(self) -> list[str]:
        """The settings as ``--set`` takes them."""
        return [f"{key}={yaml_text(value)}" for key, value in self.values.items()]

    def folder_name(self, fixed: Sequence[str] = ()) -> str:
        """Return the name of the point's work folder, which other settings ``fixed`` of its sweep change."""
        text = re.sub(r"[^A-Za-z0-9_.,=-]+", "_", ",".join(self.overrides))
        if len(text) <= _LONGEST_NAME and not fixed:
            return text
        return f"{text[:60]}-{fingerprint([self.values, *fixed])[:8]}"


def parse_grid(axes: Sequence[str]) -> list[GridPoint]:
    """Return all combinations of ``a.b=1,2,4``, the last axis running fastest; values are YAML.

    Raises:
        ConfigError: For an axis of another form, without values, or given twice.
    """
    values: dict[str, list[Any]] = {}
    for axis in axes:
        key, equals, text = axis.partition("=")
        if not equals or not all(key.split(".")) or not text.strip():
            raise ConfigError("malformed axis", where=f"--grid {axis}", expected="a.b=1,2,4")
        if key in values:
            raise ConfigError("an axis given twice", where=f"--grid {axis}", expected="each setting once")
        try:
            values[key] = yaml.safe_load(f"[{text}]")
        except yaml.YAMLError as error:
            raise ConfigError(f"malformed values: {error}", where=f"--grid {axis}") from None
    if not values:
        raise ConfigError("a sweep without a grid", expected="--grid a.b=1,2,4, once or more")
    combinations = itertools.product(*values.values())
    return [GridPoint(dict(zip(values, combination, strict=True))) for combination in combinations]


def run_sweep(
    points: Sequence[GridPoint],
    open_pipeline: OpenPipeline,
    base: Path,
    folder: Path,
    to_stage: str = ScoreStage.name,
    overrides: Sequence[str] = (),
) -> list[SweptPoint]:
    """Run every point in a work folder of its own below ``folder``; what is done is skipped, so it resumes.

    A new point starts with hard links to the folder that shares most finished stages with it: ``base`` or
    an earlier point, also one of another sweep. So grids over the student's settings train and label with the
    teachers once. Folders of another corpus, or of one that was prepared otherwise, are not taken.

    Args:
        points: The combinations.
        open_pipeline: Makes a point's pipeline.
        base: A work folder of the recipe, which need not exist.
        folder: Where the points' work folders and ``sweep.json`` go.
        to_stage: ``student`` for frame accuracy alone, ``score`` for WER too.
        overrides: What ``open_pipeline`` overrides at every point, for ``sweep.json``, which keeps the points
            of earlier sweeps too.

    Raises:
        ConfigError: For a point with a wrong value, before the first one runs.
        StageError: For a point whose folder has another corpus, then too.
    """
    for point in points:
        _check(point, open_pipeline, folder / point.folder_name(overrides))
    read_points(folder / SWEEP_FILE)  # one that cannot be read is refused now
    rows: list[SweptPoint] = []
    for number, point in enumerate(points, start=1):
        place = folder / point.folder_name(overrides)
        say(f"sweep: point {number} of {len(points)}: {place}")
        if not place.is_dir():
            _share_stages(point, open_pipeline, [base, *sorted(folder.glob("[!.]*"))], place)
        pipeline = open_pipeline(point.overrides, place)
        forget_stale(pipeline)
        pipeline.run(to_stage=to_stage)
        accuracy, wer = _measured(pipeline, to_stage)
        rows.append(
            SweptPoint(
                settings=point.values,
                overrides=tuple(overrides),
                recipe=recipe_fingerprint(_recipe(pipeline), _recipe(open_pipeline((), place)), point.values),
                students=tuple(file_sha256(folder / WEIGHTS_FILE) for folder in _student_models(pipeline)),
                frame_accuracy=accuracy,
                wer=wer,
            )
        )
        # As the file is now: another sweep of the recipe may have added points meanwhile.
        write_points(folder / SWEEP_FILE, gathered(read_points(folder / SWEEP_FILE), rows[-1:]))
    return rows


def _check(point: GridPoint, open_pipeline: OpenPipeline, place: Path) -> None:
    """Refuse a wrong value, or a corpus other than before; opening a point's pipeline changes nothing."""
    try:
        pipeline = open_pipeline(point.overrides, place)
    except ConfigError as error:
        named = {f"--set {override}": f"--grid {override}" for override in point.overrides}
        if error.where not in named:
            raise
        raise ConfigError(
            error.what, where=named[error.where], expected=error.expected, got=error.got, hint=error.hint
        ) from None
    if _has_another_corpus(pipeline):
        raise StageError(
            "the corpus of this point, or how it is prepared, is not the one of before",
            where=place,
            hint="take another --work folder, or remove this one to make the point anew",
        )


def _share_stages(
    point: GridPoint, open_pipeline: OpenPipeline, finished: Iterable[Path], place: Path
) -> None:
    """Link the folder with the most stages that the point would not run again."""
    pipelines = {
        source: open_pipeline(point.overrides, source) for source in finished if (source / "stages").is_dir()
    }
    shared = {
        source: sum(status.state is State.DONE for status in pipeline.status())
        for source, pipeline in pipelines.items()
        if not _has_another_corpus(pipeline)
    }
    best = max(shared, key=lambda source: shared[source], default=None)
    if best is None or shared[best] == 0:
        return
    say(f"sweep: shares {shared[best]} finished stages of {best}")
    with atomic_dir(place) as temporary:
        shutil.copytree(best, temporary, ignore=_NOT_SHARED, copy_function=_link, dirs_exist_ok=True)


def _has_another_corpus(pipeline: Pipeline) -> bool:
    """Return whether a work folder's corpus is not as the pipeline would prepare it.

    Nothing of such a folder can be kept: nets are found again by what they learnt, whatever dev chose their
    epoch, and shards that are finished are taken for those of the same dev.
    """
    return any(status.state is State.STALE for status in pipeline.status() if not status.stage.needs)


def _link(source: str, target: str) -> None:
    # Every file in a work folder is replaced, never changed, so that a link is as good as a copy.
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def forget_stale(pipeline: Pipeline) -> None:
    """Remove the markers of stages that are not done with these settings, and of those that build on them.

    Models, shards and hypotheses that were made just so are found again by their own fingerprints.
    """
    stale: set[str] = set()
    for status in pipeline.status():
        if status.state is not State.DONE or stale & set(status.stage.needs):
            stale.add(status.stage.name)
    for name in stale:
        (pipeline.work.markers / f"{name}.json").unlink(missing_ok=True)


def recipe_fingerprint(point: Mapping[str, Any], recipe: Mapping[str, Any], swept: Iterable[str]) -> str:
    """Return the fingerprint of all settings of a point, but those swept, that its numbers may depend on.

    Args:
        point: The recipe's settings at the point.
        recipe: Its settings without those of the point.
        swept: Settings that the grid gives, as ``a.b``.
    """
    measured = {key: value for key, value in point.items() if key not in _OF_NO_POINT}
    return fingerprint(_without(measured, recipe, set(swept)))


def _without(settings: Mapping[str, Any], recipe: Any, swept: set[str], where: str = "") -> dict[str, Any]:
    kept = {}
    for key, value in settings.items():
        own = recipe.get(key) if isinstance(recipe, Mapping) else None
        if f"{where}{key}" in swept:
            if isinstance(own, Mapping):  # A point's mapping is laid over it, so that some of it stays.
                kept[key] = own
        elif key not in _IDENTIFY_NOTHING:
            kept[key] = _without(value, own, swept, f"{where}{key}.") if isinstance(value, Mapping) else value
    return kept


def _recipe(pipeline: Pipeline) -> Mapping[str, Any]:
    settings: Mapping[str, Any] = (pipeline.facts or {}).get("recipe", {})
    return settings


Rates = dict[str, tuple[float, ...]]
"""By system, one a seed."""


def _measured(pipeline: Pipeline, to_stage: str) -> tuple[Rates, Rates]:
    """Return frame accuracy and WER on dev."""
    work = pipeline.work
    if to_stage == StudentStage.name:
        baselines = [work.models / name for name in read_baselines(work)]
        accuracies = {
            BASELINE: tuple(_dev_accuracy(folder) for folder in baselines),
            # As stored, of posteriors at the shards' temperature: a mean may differ a little from that at 1.
            ENSEMBLE: (stored_accuracy(work.shards, TUNED_SPLIT),),
            STUDENT: tuple(_dev_accuracy(folder) for folder in _student_models(pipeline)),
        }
        return accuracies, {}
    scores = {group: read_scores(work, group, TUNED_SPLIT) for group in decoded_systems(work)}
    return (
        {group: tuple(counts.rate for counts in each.correct_frames()) for group, each in scores.items()},
        {group: tuple(counts.rate for counts in each.word_counts()) for group, each in scores.items()},
    )


def _student_models(pipeline: Pipeline) -> list[Path]:
    students = [stage for stage in pipeline.stages if isinstance(stage, StudentStage)]
    return [folder for stage in students for folder in stage.outputs(pipeline.work)]


def _dev_accuracy(model: Path) -> float:
    return float(read_card(model).provenance["dev_frame_accuracy"])


def best_point(rows: Sequence[SweptPoint]) -> SweptPoint:
    """Return the point with the best student: the lowest WER where it was scored, else most right frames.

    A student that went on to learn from whole sentences (``student-smbr``) is one too.
    """
    if all(row.wer for row in rows):
        return min(rows, key=lambda row: min(_students(row.wer)))
    return max(rows, key=lambda row: max(_students(row.frame_accuracy)))


def _students(by_system: Mapping[str, Sequence[float]]) -> list[float]:
    """Return the mean over seeds of every kind of student."""
    return [_mean(values) for system, values in by_system.items() if system.partition("-")[0] == STUDENT]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
