"""Stage 5 of an image recipe: errors of teachers, ensemble and students beside the paper's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from asr_kd.am.checkpoint import load_model
from asr_kd.am.class_bias import add_bias, bias_for_share
from asr_kd.data.images import pixel_values
from asr_kd.distill.ensemble import ensemble_log_posteriors
from asr_kd.progress import track
from asr_kd.report.error_results import ErrorResults, ErrorRow, write_error_results
from asr_kd.report.results import TEACHER, Provenance
from asr_kd.stages.base import Settings, Stage, WorkDir
from asr_kd.stages.images.corpus import ImageCorpus
from asr_kd.stages.images.ensemble import ImageEnsembleConfig
from asr_kd.stages.images.students import ImageStudentConfig
from asr_kd.stages.images.teachers import ImageTeachersConfig
from asr_kd.stages.provenance import with_run_facts
from asr_kd.stages.score import MARKDOWN_FILE, RESULTS_FILE


class ImageScoreConfig(Settings):
    """What is scored.

    Attributes:
        split: ``dev`` while settings are chosen, ``test`` once, at the end.
        paper_teacher: The paper's number of errors of the teacher.
    """

    split: Literal["dev", "test"] = "test"
    paper_teacher: int | None = None


class ImageScoreStage(Stage):
    """Writes ``results.json`` and ``RESULTS.md``."""

    name = "score"
    needs = ("prepare", "teachers", "ensemble", "students")

    def __init__(
        self,
        config: ImageScoreConfig,
        teachers: ImageTeachersConfig,
        ensemble: ImageEnsembleConfig,
        students: Sequence[ImageStudentConfig],
        provenance: Provenance,
    ) -> None:
        self.config = config
        self.teachers = teachers
        self.ensemble = ensemble
        self.students = list(students)
        self.provenance = provenance

    def settings(self) -> dict[str, Any]:
        """Return what is scored, corrected and compared."""
        fields = {"correct", "paper", "paper_corrected"}
        rows = {student.name: student.model_dump(mode="json", include=fields) for student in self.students}
        return {**self.config.model_dump(mode="json"), "students": rows}

    def outputs(self, work: WorkDir) -> list[Path]:
        """Return the results."""
        return [work.root / RESULTS_FILE, work.root / MARKDOWN_FILE]

    def run(self, work: WorkDir) -> dict[str, Any]:
        """Score every system once."""
        corpus = ImageCorpus.open(work)
        scored = _Images.read(corpus, self.config.split)
        rows = self._teacher_rows(work, scored)
        for student in track(self.students, "score", len(self.students), "systems"):
            rows.append(_student_row(work, corpus, scored, student, self.ensemble.temperature))
        seeds = {f"{row.system}-{index + 1}": seed for row in rows for index, seed in enumerate(row.seeds)}
        results = ErrorResults(
            provenance=with_run_facts(self.provenance, work, seeds),
            split=self.config.split,
            num_images=len(scored.labels),
            rows=tuple(rows),
            notes=(
                "± standard deviation over training seeds; T is the temperature of the student's loss.",
                "corrected: the classes' biases were moved by one amount until the training images, taken "
                "without their labels, were given these classes as often as they are known to occur; "
                f"{self.config.split} had no part in it. The paper chose the amount on test.",
            ),
        )
        write_error_results(work.root, results, RESULTS_FILE, MARKDOWN_FILE)
        return {"systems": len(rows)}

    def _teacher_rows(self, work: WorkDir, scored: _Images) -> list[ErrorRow]:
        nets = self.teachers.nets()
        logits = [scored.logits(work, name) for name in nets]
        seeds = tuple(net.seed for net in nets.values())
        errors = tuple(scored.errors(each) for each in logits)
        rows = [ErrorRow(system=TEACHER, seeds=seeds, errors=errors, paper=self.config.paper_teacher)]
        used = self.ensemble.num_teachers
        if used > 1:
            averaged = ensemble_log_posteriors(logits[:used], 1.0, self.ensemble.averaging)
            rows.append(
                ErrorRow(system=f"ensemble of {used}", seeds=seeds[:used], errors=(scored.errors(averaged),))
            )
        return rows


@dataclass(frozen=True)
class _Images:
    """A split's images in memory: pixels ``[N, D]`` and classes ``[N]``."""

    pixels: np.ndarray[Any, Any]
    labels: Tensor

    @classmethod
    def read(cls, corpus: ImageCorpus, split: str) -> _Images:
        pixels = pixel_values(torch.from_numpy(np.array(corpus.images(split).frames))).numpy()
        return cls(pixels, torch.from_numpy(np.array(corpus.labels(split).frames)).long())

    def logits(self, work: WorkDir, name: str) -> Tensor:
        return load_model(work.models / name).logits(self.pixels)

    def errors(self, logits: Tensor, classes: Sequence[int] = ()) -> int:
        """Return the number of wrong images, of some classes alone where they are given."""
        wrong = logits.argmax(1) != self.labels
        if classes:
            wrong &= torch.isin(self.labels, torch.tensor(classes))
        return int(wrong.sum())


def _student_row(
    work: WorkDir,
    corpus: ImageCorpus,
    scored: _Images,
    student: ImageStudentConfig,
    stored_temperature: float,
) -> ErrorRow:
    names = [student.model_name(index) for index in range(student.count)]
    logits = [scored.logits(work, name) for name in names]
    temperature = student.temperature or stored_temperature
    has_temperature = student.soft_weight > 0 and student.loss != "logit_matching"
    row = ErrorRow(
        system=student.name,
        seeds=tuple(student.seed + index for index in range(student.count)),
        errors=tuple(scored.errors(each) for each in logits),
        temperature=temperature if has_temperature else None,
        errors_on_missing=_on(scored, logits, student.without),
        paper=student.paper,
        paper_corrected=student.paper_corrected,
    )
    if not student.correct:
        return row
    counts = corpus.class_counts["train"]
    share = sum(counts[label] for label in student.correct) / sum(counts)
    train = _Images.read(corpus, "train")
    bias = [bias_for_share(train.logits(work, name), student.correct, share) for name in names]
    corrected = [add_bias(each, student.correct, amount) for each, amount in zip(logits, bias, strict=True)]
    update = {
        "corrected": tuple(scored.errors(each) for each in corrected),
        "corrected_on_missing": _on(scored, corrected, student.without),
        "bias": tuple(round(amount, 3) for amount in bias),
        "corrected_classes": student.correct,
    }
    return row.model_copy(update=update)


def _on(scored: _Images, logits: Sequence[Tensor], classes: Sequence[int]) -> tuple[int, ...]:
    return tuple(scored.errors(each, classes) for each in logits) if classes else ()
