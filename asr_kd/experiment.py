"""An experiment: the ten stages that a recipe describes, over one work folder."""

from __future__ import annotations

from pathlib import Path

from asr_kd.atomic import write_json
from asr_kd.config import Recipe
from asr_kd.pipeline import Pipeline
from asr_kd.report.results import Provenance
from asr_kd.stages.align import AlignStage
from asr_kd.stages.base import Stage, WorkDir
from asr_kd.stages.decode import DecodeStage
from asr_kd.stages.ensemble import EnsembleStage
from asr_kd.stages.features import FeaturesStage
from asr_kd.stages.prepare import PrepareStage
from asr_kd.stages.report import ReportStage
from asr_kd.stages.score import ScoreStage
from asr_kd.stages.student import StudentStage
from asr_kd.stages.teachers import BaselineStage, TeachersStage
from asr_kd.train import distributed


def build_stages(
    recipe: Recipe, search_path: Path | None, corpus: Path | None, provenance: Provenance
) -> list[Stage]:
    """Return the ten stages of a recipe in order.

    Args:
        recipe: The settings.
        search_path: The recipe's folder, where a user's frontend may lie.
        corpus: The corpus's folder; None lets its module make or download it.
        provenance: What the results say about this run.
    """
    teachers = recipe.teacher_nets()
    student = recipe.student_net()
    features = [recipe.align.features, student.features, *(net.features for net in teachers)]
    return [
        PrepareStage(recipe.corpus, corpus),
        FeaturesStage(features, search_path),
        AlignStage(recipe.align, recipe.baseline_nets()[0], search_path),
        TeachersStage(teachers, search_path),
        BaselineStage(recipe.baseline_nets(), teachers, search_path),
        EnsembleStage(recipe.ensemble, len(teachers), student, recipe.views, search_path),
        StudentStage(recipe.student, student),
        DecodeStage(
            recipe.decode, recipe.language_model, recipe.ensemble.system(len(teachers)), recipe.student.count
        ),
        ScoreStage(
            recipe.score, recipe.student.model_dump(include={"soft_weight", "hard_weight"}), provenance
        ),
        ReportStage(),
    ]


def open_pipeline(
    recipe: Recipe, search_path: Path | None, work: Path, corpus: Path | None, provenance: Provenance
) -> Pipeline:
    """Return the pipeline of a recipe over a work folder, which keeps a copy of the settings."""
    pipeline = Pipeline(build_stages(recipe, search_path, corpus, provenance), WorkDir(work))
    settings = recipe.model_dump(mode="json")
    if distributed.is_first():
        write_json(
            pipeline.work.run_facts, {"folder": str((search_path or Path()).resolve()), "recipe": settings}
        )
    return pipeline
