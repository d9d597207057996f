"""What an experiment found and how it was made: the data model of ``results.json``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from asr_kd.atomic import write_text
from asr_kd.errors import StageError
from asr_kd.score.significance import GainKept, Interval

BASELINE, CONTROL, ENSEMBLE, STUDENT = "baseline", "control", "ensemble", "student"
TEACHER = "teacher"
"""Names of systems that a recipe may have; others may stand beside them."""


ResultsKind = TypeVar("ResultsKind", bound=BaseModel)


class ResultsModel(BaseModel):
    """What stands in a ``results.json``."""

    # NaN would be written as null and not be read back; an unknown key is a newer or a foreign file.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Measure(ResultsModel):
    """A rate as a fraction: mean over seeds, standard deviation over seeds, interval of the test set."""

    mean: float
    sd: float | None = None
    interval: Interval | None = None


class WordErrors(ResultsModel):
    """Counts of words, summed over seeds."""

    substitutions: int
    deletions: int
    insertions: int
    num_reference_words: int = Field(gt=0)


class ResultRow(ResultsModel):
    """One system on one split.

    Attributes:
        system: ``baseline``, ``ensemble``, ``student``, or what else was measured.
        split: Where it was scored.
        seeds: Of the nets that the row's numbers are the mean of; for the ensemble those of its members.
        num_runs: How many scored systems the means and sums are over.
        frame_accuracy: None where there is no alignment.
        wer: None where there is no reference text.
        errors: What ``wer`` is made of.
        frame_accuracy_gain: Gain over the baseline and the share of the ensemble's that is kept.
        wer_gain: The same in word errors (positive is better).
        num_parameters: Of all nets that a frame passes through.
        real_time_factor: Seconds of one core for a second of audio.
    """

    system: str
    split: str
    seeds: tuple[int, ...] = ()
    num_runs: int = Field(default=1, ge=1)
    frame_accuracy: Measure | None = None
    wer: Measure | None = None
    errors: WordErrors | None = None
    frame_accuracy_gain: GainKept | None = None
    wer_gain: GainKept | None = None
    num_parameters: int | None = None
    real_time_factor: float | None = None


class Provenance(ResultsModel):
    """How the numbers can be made again.

    Attributes:
        recipe: Its name.
        profile: Of the recipe.
        command: Exactly as it was typed.
        seeds: Every seed that the run used, by what it was used for.
        commit: Of the program; None outside a checkout.
        machine: Processor, cores, memory.
        version: Of the program.
        date: ISO 8601.
        stage_seconds: Wall-clock time of each stage.
        stage_bytes: What each stage's outputs take on disk.
        peak_memory_bytes: Of the largest process of any stage.
    """

    recipe: str
    profile: str
    command: str
    seeds: dict[str, int] = {}
    commit: str | None = None
    machine: str
    version: str | None = None
    date: str | None = None
    stage_seconds: dict[str, float] = {}
    stage_bytes: dict[str, int] = {}
    peak_memory_bytes: int | None = None


class Setup(ResultsModel):
    """What was chosen, and what to know about the data before believing the numbers.

    Attributes:
        num_teachers: In the ensemble.
        averaging: arithmetic, geometric or weighted.
        temperature: Of the stored posteriors and of the student's loss.
        soft_weight: Of the soft term.
        hard_weight: Of the hard term.
        posterior_code: How posteriors were stored, with its parameters.
        bytes_per_frame: Of the stored posteriors.
        num_senones: Width of the output layer.
        num_train_frames: With hard labels.
        num_utterances: Scored, by split.
        alignment_failed_share: Share of the utterances that could not be aligned.
        oov_share: Share of the test words that the training text lacks.
        extra: Anything else, as label and text.
    """

    num_teachers: int | None = None
    averaging: str | None = None
    temperature: float | None = None
    soft_weight: float | None = None
    hard_weight: float | None = None
    posterior_code: str | None = None
    bytes_per_frame: float | None = None
    num_senones: int | None = None
    num_train_frames: int | None = None
    num_utterances: dict[str, int] = {}
    alignment_failed_share: float | None = None
    oov_share: float | None = None
    extra: dict[str, str] = {}


class TuningSurface(ResultsModel):
    """WER on dev over the two numbers that are tuned, and what was chosen.

    Attributes:
        system: Whose scores were decoded.
        acoustic_scales: [A]
        insertion_penalties: [P]
        wer: [A][P] as fractions; None where the search did not look.
        chosen: Acoustic scale and word insertion penalty.
        split: Where it was tuned.
    """

    system: str
    acoustic_scales: tuple[float, ...] = Field(min_length=1)
    insertion_penalties: tuple[float, ...] = Field(min_length=1)
    wer: tuple[tuple[float | None, ...], ...]
    chosen: tuple[float, float]
    split: str = "dev"

    @model_validator(mode="after")
    def _check_shape(self) -> TuningSurface:
        if [len(row) for row in self.wer] != [len(self.insertion_penalties)] * len(self.acoustic_scales):
            raise ValueError("wer needs one row a scale and one column a penalty")
        scale, penalty = self.chosen
        if scale not in self.acoustic_scales or penalty not in self.insertion_penalties:
            raise ValueError("the chosen scale and penalty are not among those tried")
        return self

    @property
    def at_edge(self) -> bool:
        """Whether the choice, or a point as good, has the first or last of several values tried."""
        wer = np.array(self.wer, dtype=float)  # None is NaN
        best = np.argwhere(wer == np.nanmin(wer))  # [N, 2]
        edges = (best == 0) | (best == np.array(wer.shape) - 1)
        return bool((edges & (np.array(wer.shape) > 1)).any())


class TrainingCurve(ResultsModel):
    """One net's training, one value an epoch; a list that was not recorded is empty.

    Attributes:
        name: Of the net.
        system: ``teacher``, ``baseline``, ``student``: nets of one system share a colour.
        epochs: [E]
        train_loss: [E] whatever was minimised.
        dev_loss: [E] cross-entropy of the hard labels, nats a frame.
        train_frame_accuracy: [E] as fractions.
        dev_frame_accuracy: [E] as fractions.
    """

    name: str
    system: str
    epochs: tuple[float, ...]
    train_loss: tuple[float, ...] = ()
    dev_loss: tuple[float, ...] = ()
    train_frame_accuracy: tuple[float, ...] = ()
    dev_frame_accuracy: tuple[float, ...] = ()

    @model_validator(mode="after")
    def _check_lengths(self) -> TrainingCurve:
        for values in (self.train_loss, self.dev_loss, self.train_frame_accuracy, self.dev_frame_accuracy):
            if values and len(values) != len(self.epochs):
                raise ValueError("every recorded list needs one value an epoch")
        return self


class CalibrationCurve(ResultsModel):
    """How sure a system was of its frames and how often it was right, over bins of its confidence.

    Attributes:
        system: All its seeds together.
        split: Where it was scored.
        confidence: [B] mean posterior of the best senone.
        accuracy: [B] share of frames whose best senone is the aligned one.
        num_frames: [B]; bins without frames are left out.
        expected_error: Expected calibration error (ECE).
    """

    system: str
    split: str
    confidence: tuple[float, ...]
    accuracy: tuple[float, ...]
    num_frames: tuple[int, ...]
    expected_error: float


class PhoneConfusion(ResultsModel):
    """Frames of one phone whose best senone is of another one.

    Attributes:
        split: Where it was scored.
        aligned: The phone of the alignment.
        found: The other one.
        share: Of all frames, by system.
    """

    split: str
    aligned: str
    found: str
    share: dict[str, float]


class TeacherAgreement(ResultsModel):
    """Who of an ensemble's nets finds the same senones as whom.

    Attributes:
        split: Where it was scored.
        nets: Names of the N nets.
        same: [N, N] share of the frames for which two nets find the same senone.
        by_right: [N + 1] share of the frames by the number of nets that are right.
    """

    split: str
    nets: tuple[str, ...]
    same: tuple[tuple[float, ...], ...]
    by_right: tuple[float, ...]


class GainCurve(ResultsModel):
    """Frame accuracy of the mean of 1, 2 and more of an ensemble's nets.

    Attributes:
        split: Whose aligned frames were counted.
        num_teachers: [N]
        accuracy: [N] as fractions, mean over sets of so many nets.
        sd: [N] over those sets, 0 for one.
    """

    split: str
    num_teachers: tuple[int, ...] = Field(min_length=1)
    accuracy: tuple[float, ...]
    sd: tuple[float, ...]

    @model_validator(mode="after")
    def _check_lengths(self) -> GainCurve:
        if not len(self.num_teachers) == len(self.accuracy) == len(self.sd):
            raise ValueError("every list needs one value a number of teachers")
        return self


class Results(ResultsModel):
    """Everything that ``results.json`` holds."""

    format_version: Literal[1] = 1
    provenance: Provenance
    setup: Setup = Setup()
    rows: tuple[ResultRow, ...]
    tuning: tuple[TuningSurface, ...] = ()
    curves: tuple[TrainingCurve, ...] = ()
    calibration: tuple[CalibrationCurve, ...] = ()
    confusions: tuple[PhoneConfusion, ...] = ()
    agreement: tuple[TeacherAgreement, ...] = ()
    teacher_gain: tuple[GainCurve, ...] = ()

    def row(self, system: str, split: str) -> ResultRow:
        """Return one system's row.

        Raises:
            StageError: When there is none, naming those there are.
        """
        for row in self.rows:
            if (row.system, row.split) == (system, split):
                return row
        known = ", ".join(f"{row.system} {row.split}" for row in self.rows) or "no rows"
        raise StageError(f"no result of {system} on {split}", expected=f"one of {known}")


def write_results(path: Path, results: Results) -> None:
    """Write ``results.json``."""
    write_text(path, results.model_dump_json(indent=2) + "\n")


def read_results(path: Path) -> Results:
    """Read ``results.json``.

    Raises:
        StageError: When it is missing or is not what :func:`write_results` writes.
    """
    return read_results_as(Results, path)


def read_results_as(kind: type[ResultsKind], path: Path) -> ResultsKind:
    """Read a ``results.json`` of one kind of recipe.

    Raises:
        StageError: When it is missing or of another kind.
    """
    if not path.is_file():
        raise StageError("no results here", where=path, hint="run the score stage")
    try:
        return kind.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "file"
        raise StageError(
            f"{error.error_count()} faults, the first at {key}: {first['msg']}",
            where=path,
            hint="run the score stage again",
        ) from None
