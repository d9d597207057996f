"""An experiment: the stages that a recipe describes, over one work folder."""

from __future__ import annotations

from pathlib import Path

from asr_kd.pipeline import Pipeline
from asr_kd.report.results import Provenance
from asr_kd.stages.acoustics import MixtureCard
from asr_kd.stages.align import AlignStage
from asr_kd.stages.base import Stage, WorkDir
from asr_kd.stages.decode import DecodeStage
from asr_kd.stages.ensemble import EnsembleStage
from asr_kd.stages.features import FeaturesStage
from asr_kd.stages.images.recipe import ImageRecipe
from asr_kd.stages.lattices import LatticesStage
from asr_kd.stages.prepare import PrepareStage
from asr_kd.stages.recipe import Recipe
from asr_kd.stages.report import ReportStage
from asr_kd.stages.score import ScoreStage
from asr_kd.stages.sequence import SequenceStage
from asr_kd.stages.student import StudentStage
from asr_kd.stages.teachers import BaselineStage, TeachersStage, teacher_name


def build_stages(
    recipe: Recipe | ImageRecipe, search_path: Path | None, corpus: Path | None, provenance: Provenance
) -> list[Stage]:
    """Return the stages of a recipe in order: ten for speech (twelve with ``sequence``), five for images.

    Args:
        recipe: The settings.
        search_path: The recipe's folder, where a user's frontend may lie.
        corpus: The corpus's folder; None lets its module make or download it.
        provenance: What the results say about this run.
    """
    if isinstance(recipe, ImageRecipe):
        return recipe.stages(corpus, provenance)
    teachers = recipe.teacher_nets()
    student = recipe.student_net()
    learnt = [student.features, *(net.features for net in teachers)]
    ensemble = recipe.ensemble.system(len(teachers))
    sequence: list[Stage] = []
    if recipe.sequence is not None:
        lattices = recipe.sequence.lattices
        found = lattices.model_copy(update={"language_model": lattices.language_model.found(search_path)})
        config = recipe.sequence.model_copy(update={"lattices": found})
        sequence = [
            LatticesStage(found, ensemble),
            SequenceStage(config, recipe.student.count, recipe.ensemble.data_share, recipe.train),
        ]
    return [
        PrepareStage(recipe.corpus, corpus, recipe.lexicon),
        FeaturesStage(
            [recipe.align.features],
            search_path,
            learnt,
            recipe.views.hard,
            recipe.views.augment,
            recipe.corpus.has_transfer,
        ),
        AlignStage(recipe.align, recipe.baseline_nets()[0], search_path),
        TeachersStage(teachers, search_path),
        BaselineStage(recipe.baseline_nets(), recipe.control_nets(), teachers, search_path),
        EnsembleStage(
            recipe.ensemble, len(teachers), student, recipe.views, search_path, recipe.teachers.folds
        ),
        StudentStage(recipe.student, student, [teacher_name(index) for index in recipe.student_starts()]),
        *sequence,
        DecodeStage(
            recipe.decode,
            recipe.language_model.found(search_path),
            ensemble,
            num_students=recipe.student.count,
            num_controls=recipe.control.count,
            mixtures=MixtureCard(recipe.align.features.key, recipe.align.flat_start.delta_order),
            has_sequence=recipe.sequence is not None,
        ),
        ScoreStage(
            recipe.score,
            recipe.decode.splits,
            recipe.student.model_dump(include={"soft_weight", "hard_weight"}),
            provenance,
        ),
        ReportStage(),
    ]


def open_pipeline(
    recipe: Recipe | ImageRecipe,
    search_path: Path | None,
    work: Path,
    corpus: Path | None,
    provenance: Provenance,
) -> Pipeline:
    """Return the pipeline of a recipe over a work folder, which gets a copy of the settings when it runs.

    Raises:
        ShardError: For a student that is to learn what its ensemble will not store.
    """
    # Not where the recipe is read: its student may also learn from other shards (asr-kd train-student).
    if isinstance(recipe, Recipe):
        recipe.student.require(recipe.ensemble.stored(recipe.teachers.count))
    else:
        for student in recipe.all_students():
            student.require(recipe.ensemble.stored(), f"student {student.name}")
    settings = recipe.model_dump(mode="json")
    facts = {"folder": str((search_path or Path()).resolve()), "recipe": settings}
    return Pipeline(build_stages(recipe, search_path, corpus, provenance), WorkDir(work), facts)
