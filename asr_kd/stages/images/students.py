"""Stage 4 of an image recipe: students learn from the shards, each from its own part of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from asr_kd.am.registry import ArchitectureConfig
from asr_kd.errors import ConfigError
from asr_kd.stages.base import Stage, WorkDir
from asr_kd.stages.images.corpus import ImageCorpus
from asr_kd.stages.images.ensemble import transfer_splits
from asr_kd.stages.images.teachers import image_net
from asr_kd.stages.nets import NetConfig, discard_models
from asr_kd.stages.overrides import updated
from asr_kd.stages.student_loss import StudentConfig
from asr_kd.stages.student_training import StudentPlan, train_students
from asr_kd.train.config import TrainConfig


class ImageStudentConfig(StudentConfig):
    """A student of an image recipe: loss, net, transfer set, and what is compared with the paper.

    Attributes:
        name: Of its models and of its row in the table.
        only: Classes that its transfer set holds; none given means all.
        without: Classes that its transfer set lacks.
        views: Moved copies of each image in its transfer set, at most ``ensemble.views``.
        correct: Classes whose bias is then moved until they are chosen as often as they occur in train.
        paper: The paper's number of errors.
        paper_corrected: The paper's number of errors after that correction.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    only: tuple[int, ...] = ()
    without: tuple[int, ...] = ()
    views: int = Field(0, ge=0)
    correct: tuple[int, ...] = ()
    paper: int | None = None
    paper_corrected: int | None = None

    @model_validator(mode="after")
    def _check_classes(self) -> ImageStudentConfig:
        if self.only and self.without:
            raise ValueError("give only or without, not both")
        return self

    @model_validator(mode="after")
    def _check_passes(self) -> ImageStudentConfig:
        if self.passes:
            raise ValueError("passes: are over train and transfer, which transfer sets of images have not")
        return self

    @model_validator(mode="after")
    def _check_start(self) -> ImageStudentConfig:
        if self.start != "random":
            raise ValueError("start: teacher is for students of the teachers' size, which these are not")
        return self

    def model_name(self, index: int) -> str:
        """Return the name of the model directory of seed ``index``, counted from 0."""
        return f"{self.name}-{index + 1:02}"


class StudentGridConfig(ImageStudentConfig):
    """Students of several sizes at several temperatures.

    Attributes:
        units: Of each hidden layer.
        temperatures: Of the loss.
    """

    units: tuple[int, ...]
    temperatures: tuple[float, ...]

    def students(self) -> list[ImageStudentConfig]:
        """Return one student for every size and temperature, named ``NAME-30-T2.5``."""
        shared = self.model_dump(exclude={"units", "temperatures", "name", "model", "temperature"})
        options = (self.model or {}).get("options", {})
        return [
            ImageStudentConfig(
                **shared,
                name=f"{self.name}-{units}-T{temperature:g}",
                temperature=temperature,
                model={**(self.model or {}), "options": {**options, "units": units}},
            )
            for units in self.units
            for temperature in self.temperatures
        ]


class ImageStudentsStage(Stage):
    """Trains every student with every seed into ``models/NAME-NN``.

    Args:
        students: All of them.
        model: Their net, but for what a student changes.
        train: Their training, but for what a student changes.
    """

    name = "students"
    outputs_named_by = ""
    needs = ("prepare", "ensemble")

    def __init__(
        self, students: Sequence[ImageStudentConfig], model: ArchitectureConfig, train: TrainConfig
    ) -> None:
        self.students = list(students)
        self.model = model
        self.train = train

    def settings(self) -> dict[str, Any]:
        """Return loss, net and transfer set of every student."""
        unused = {"model", "train", "correct", "paper", "paper_corrected"}
        return {
            student.name: {
                **student.model_dump(mode="json", exclude=unused),
                "net": self.net(student).model_dump(mode="json"),
            }
            for student in self.students
        }

    def outputs(self, work: WorkDir) -> list[Path]:
        """Return the model directories."""
        return [work.models / name for name in self._names()]

    def discard(self, work: WorkDir) -> None:
        """Remove the models with their checkpoints."""
        discard_models(work, self._names())

    def check_corpus(self, work: WorkDir) -> None:
        """Refuse classes that the corpus lacks, a transfer set without any, and a bias that all share."""
        num_classes = ImageCorpus.open(work).num_classes
        for student in self.students:
            _check_classes(student, num_classes)

    def _names(self) -> list[str]:
        return [student.model_name(index) for student in self.students for index in range(student.count)]

    def net(self, student: ImageStudentConfig) -> NetConfig:
        """Return a student's net and training, with its first seed."""
        return image_net(updated(self.model, student.model), updated(self.train, student.train), student.seed)

    def run(self, work: WorkDir) -> dict[str, Any]:
        """Train what is not trained yet; the shards must be those of this work folder's images."""
        corpus = ImageCorpus.open(work)
        expected = {"tree": corpus.classes_fingerprint, "alignment": corpus.fingerprint}
        plans = []
        for student in self.students:
            splits = transfer_splits(corpus.num_classes, student.only, student.without, student.views)
            for index in range(student.count):
                net = self.net(student)
                net = net.model_copy(update={"seed": net.seed + index})
                name = student.model_name(index)
                folders = (work.models / name, work.training / name)
                plans.append(StudentPlan(work.shards, student, net, *folders, expected, splits))
        return {"models": len(train_students(plans))}


def _check_classes(student: ImageStudentConfig, num_classes: int) -> None:
    where = f"student {student.name}"
    for setting in ("only", "without", "correct"):
        unknown = sorted(set(getattr(student, setting)) - set(range(num_classes)))
        if unknown:
            raise ConfigError(
                f"{setting} names classes that the corpus lacks",
                where=where,
                expected=f"some of 0 to {num_classes - 1}",
                got=", ".join(map(str, unknown)),
            )
    for setting in ("without", "correct"):
        if len(set(getattr(student, setting))) == num_classes:
            raise ConfigError(
                f"{setting} names all classes", where=where, expected=f"at most {num_classes - 1} of them"
            )
