"""Settings and stages of a recipe of kind ``images``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from asr_kd.am.registry import ArchitectureConfig, check_options
from asr_kd.report.results import TEACHER, Provenance
from asr_kd.stages.base import Settings, Stage
from asr_kd.stages.images.corpus import ImageCorpusConfig, ImagePrepareStage
from asr_kd.stages.images.ensemble import ImageEnsembleConfig, ImageEnsembleStage
from asr_kd.stages.images.score import ImageScoreConfig, ImageScoreStage
from asr_kd.stages.images.students import ImageStudentConfig, ImageStudentsStage, StudentGridConfig
from asr_kd.stages.images.teachers import ImageTeachersConfig, ImageTeachersStage
from asr_kd.stages.overrides import updated
from asr_kd.train.config import TrainConfig


class ImageRecipe(Settings):
    """All settings of one experiment on images.

    Attributes:
        kind: Tells it from a speech recipe.
        name: Of the recipe.
        description: In one sentence.
        corpus: Which images.
        teachers: Their nets and training.
        ensemble: Who labels the transfer set and how.
        model: The students' net, but for what a student changes.
        train: The students' training, but for what a student changes.
        count: Seeds of every student; None leaves each its own number.
        students: One row of the table each.
        grids: Students of several sizes at several temperatures.
        score: What is scored.
    """

    kind: Literal["images"]
    name: str
    description: str = ""
    corpus: ImageCorpusConfig
    teachers: ImageTeachersConfig = ImageTeachersConfig()
    ensemble: ImageEnsembleConfig = ImageEnsembleConfig()
    model: ArchitectureConfig = ArchitectureConfig()
    train: TrainConfig = TrainConfig()
    count: int | None = Field(None, ge=1)
    students: tuple[ImageStudentConfig, ...] = ()
    grids: tuple[StudentGridConfig, ...] = ()
    score: ImageScoreConfig = ImageScoreConfig()

    @model_validator(mode="after")
    def _check_nets(self) -> ImageRecipe:
        check_options(self.teachers.model, "teachers.model")
        check_options(self.model, "model")
        for student in self.students:
            check_options(updated(self.model, student.model), "students.model")
        for grid in self.grids:
            for student in grid.students():
                check_options(updated(self.model, student.model), "grids.model")
        return self

    @model_validator(mode="after")
    def _check(self) -> ImageRecipe:
        if self.ensemble.num_teachers > self.teachers.count:
            raise ValueError(
                f"ensemble.num_teachers is {self.ensemble.num_teachers}, but there are {self.teachers.count}"
            )
        names = [student.name for student in self.all_students()]
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise ValueError(f"two students are named {doubled[0]}")
        if TEACHER in names:
            raise ValueError(f"a student is named {TEACHER}, as the teachers' models and row are")
        for student in self.all_students():
            if student.views > self.ensemble.views:
                raise ValueError(
                    f"{student.name} has {student.views} views, but ensemble.views is {self.ensemble.views}"
                )
        return self

    def all_students(self) -> list[ImageStudentConfig]:
        """Return the students, those of the grids after the others."""
        students = [*self.students, *(each for grid in self.grids for each in grid.students())]
        if self.count is None:
            return students
        return [student.model_copy(update={"count": self.count}) for student in students]

    def stages(self, corpus: Path | None, provenance: Provenance) -> list[Stage]:
        """Return the five stages in order.

        Args:
            corpus: The folder of the images; None lets their module download them.
            provenance: What the results say about this run.
        """
        students = self.all_students()
        return [
            ImagePrepareStage(self.corpus, corpus),
            ImageTeachersStage(self.teachers),
            ImageEnsembleStage(self.ensemble),
            ImageStudentsStage(students, self.model, self.train),
            ImageScoreStage(self.score, self.teachers, self.ensemble, students, provenance),
        ]
