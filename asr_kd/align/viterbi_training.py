"""Viterbi EM: mixtures trained by passes of alignment and re-estimation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from asr_kd.align.corpus import AlignmentCorpus, AlignmentReport
from asr_kd.align.gmm import Array, DiagGmm
from asr_kd.align.gmm_training import GmmStatistics, maximise, mix_up, split_targets
from asr_kd.align.lda import ClassStatistics
from asr_kd.align.mllt import MlltStatistics
from asr_kd.align.passes import NOT_ALIGNED, ChunkResult, Pass, Task
from asr_kd.align.segments import self_loop_probabilities
from asr_kd.align.spliced import SplicedTransform
from asr_kd.align.triphone_statistics import TriphoneStatistics
from asr_kd.align.viterbi import AlignmentConfig
from asr_kd.lang.hmm import Hmm
from asr_kd.progress import Meter

SCRATCH_FILE = "pdf_ids.npy"
_LEAST_VARIANCE = 1e-8


class TrainingSchedule(BaseModel):
    """Passes of Viterbi EM.

    Attributes:
        num_iterations: Re-estimations of the mixtures.
        realign_iterations: Those that align anew first; the others keep the alignment before them.
        total_gaussians: Components over all pdfs at the end; fewer where the frames are few.
        last_mixing_iteration: Until here the number of components grows, in equal steps.
        mixing_power: Components are shared out in proportion to the frames of a pdf to this power.
        min_frames_per_gaussian: A pdf gets no component more when it has fewer frames for each.
        min_occupancy: Components with fewer frames are dropped.
        variance_floor: Smallest variance as a share of the variance of all frames.
        acoustic_scale: Factor on log-likelihoods in the search.
        delta_order: Deltas that are added to the stored features.
        seed: Of the directions in which components are split.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    num_iterations: int = Field(default=30, ge=1)
    realign_iterations: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 18, 20, 23, 26, 29)
    total_gaussians: int = Field(default=1000, ge=1)
    last_mixing_iteration: int = Field(default=22, ge=1)
    mixing_power: float = Field(default=0.25, ge=0, le=1)
    min_frames_per_gaussian: float = Field(default=20.0, ge=1)
    min_occupancy: float = Field(default=3.0, gt=0)
    variance_floor: float = Field(default=0.01, gt=0)
    acoustic_scale: float = Field(default=0.1, gt=0)
    delta_order: int = Field(default=2, ge=0)
    seed: int = 0


@dataclass
class Totals:
    """Sums over the chunks of one pass."""

    statistics: GmmStatistics
    num_frames: Array  # [S]
    num_visits: Array  # [S]
    triphones: TriphoneStatistics
    report: AlignmentReport = field(default_factory=AlignmentReport)
    classes: ClassStatistics | None = None
    mllt: MlltStatistics | None = None

    @classmethod
    def zeros(cls, num_pdfs: int, gmm: DiagGmm) -> Totals:
        """Return empty sums."""
        return cls(
            GmmStatistics.zeros(gmm.num_gaussians, gmm.dim),
            np.zeros(num_pdfs, dtype=np.int64),
            np.zeros(num_pdfs, dtype=np.int64),
            TriphoneStatistics(gmm.dim),
        )

    def add(self, result: ChunkResult) -> None:
        """Add what a chunk gave."""
        self.statistics.add(result.statistics)
        self.num_frames += result.num_frames
        self.num_visits += result.num_visits
        self.report.num_aligned += result.num_aligned
        self.report.failures += result.failures
        if result.triphones is not None:
            self.triphones.add(result.triphones)
        if result.classes is not None:
            self.classes = self.classes or ClassStatistics.zeros(*result.classes.first.shape)
            self.classes.add(result.classes)
        if result.mllt is not None:
            self.mllt = self.mllt or MlltStatistics.zeros(len(result.mllt.scatter))
            self.mllt.add(result.mllt)


class ViterbiTraining:
    """Mixtures and self-loops between the passes over a corpus.

    Args:
        corpus: What is trained on.
        hmm: The first model.
        gmm: The first mixtures.
        variance_floor: ``[D]``.
        schedule: Settings.
        alignment: Holds the share of utterances that may fail.
        run: Maps tasks to results; see :class:`asr_kd.align.passes.PassWorker`.
    """

    def __init__(
        self,
        corpus: AlignmentCorpus,
        hmm: Hmm,
        gmm: DiagGmm,
        variance_floor: Array,
        schedule: TrainingSchedule,
        alignment: AlignmentConfig,
        run: Callable[[Iterable[Task]], Iterator[ChunkResult]],
    ) -> None:
        self.hmm = hmm
        self.gmm = gmm
        self.variance_floor = variance_floor
        self.transform: SplicedTransform | None = None
        self.report = AlignmentReport()
        self.log_likelihoods: list[float] = []
        self._corpus = corpus
        self._schedule = schedule
        self._alignment = alignment
        self._run = run

    @property
    def stored_dim(self) -> int:
        """Width of the stored features."""
        return int(self._corpus.open().frames.shape[1])

    def run_pass(self, kind: Pass, name: str, meter: Meter, source_hmm: Hmm | None = None) -> Totals:
        """Return the sums of one pass with the present model.

        Raises:
            AlignmentError: When it aligns and too many utterances fail.
        """
        totals = Totals.zeros(self.hmm.num_pdfs, self.gmm)
        tasks = (
            Task(kind, utt_ids, self.gmm, self.hmm, source_hmm, self.transform)
            for utt_ids in self._corpus.chunks()
        )
        for result in self._run(tasks):
            totals.add(result)
            meter.advance(result.num_aligned + len(result.failures), name)
        if kind.aligns:
            totals.report.check(self._alignment.max_failed_share)
            self.report = totals.report
        return totals

    def iterate(self, iteration: int, meter: Meter) -> None:
        """Align or keep the alignment, as the schedule says, then re-estimate and split components."""
        aligns = iteration in self._schedule.realign_iterations
        totals = self.run_pass(Pass.ALIGN if aligns else Pass.KEEP, f"iteration {iteration}", meter)
        self.re_estimate(iteration, totals)

    def re_estimate(self, iteration: int, totals: Totals) -> None:
        """Re-estimate everything from the sums of a pass, then split components."""
        schedule = self._schedule
        statistics = totals.statistics
        self.log_likelihoods.append(statistics.log_likelihood / statistics.num_frames)
        self.hmm = self.hmm.with_self_loops(self_loop_probabilities(totals.num_frames, totals.num_visits))
        self.gmm = maximise(self.gmm, statistics, self.variance_floor, schedule.min_occupancy)
        if iteration <= schedule.last_mixing_iteration:
            targets = split_targets(
                totals.num_frames,
                self._num_gaussians_after(iteration),
                schedule.mixing_power,
                schedule.min_frames_per_gaussian,
            )
            self.gmm = mix_up(self.gmm, targets, seed=schedule.seed + iteration)

    def _num_gaussians_after(self, iteration: int) -> int:
        num_pdfs = self.hmm.num_pdfs
        growth = max(self._schedule.total_gaussians - num_pdfs, 0)
        return num_pdfs + growth * iteration // self._schedule.last_mixing_iteration


def standard_gaussians(num_pdfs: int, dim: int) -> DiagGmm:
    """Return one standard Gaussian for each pdf: a place to collect the first statistics in."""
    shape = (num_pdfs, dim)
    return DiagGmm(np.ones(num_pdfs), np.zeros(shape), np.ones(shape), np.arange(num_pdfs + 1))


def first_gaussians(statistics: GmmStatistics, schedule: TrainingSchedule) -> tuple[DiagGmm, Array]:
    """Return one Gaussian for each pdf, and the variance floor ``[D]``.

    Pdfs with too few frames take the moments of all frames.

    Args:
        statistics: Of one component a pdf.
        schedule: Gives the floor and the fewest frames.
    """
    mean, variance = statistics.global_moments()
    floor = np.maximum(schedule.variance_floor * variance, _LEAST_VARIANCE)
    shape = statistics.first.shape
    everywhere = DiagGmm(
        np.ones(len(statistics.occupancy)),
        np.broadcast_to(mean, shape),
        np.broadcast_to(np.maximum(variance, floor), shape),
        np.arange(len(statistics.occupancy) + 1),
    )
    return maximise(everywhere, statistics, floor, schedule.min_occupancy), floor


def make_scratch(path: Path, num_frames: int) -> None:
    """Write a file for one pdf_id a frame that the passes share, with nothing aligned."""
    pdf_ids = np.lib.format.open_memmap(path, mode="w+", dtype=np.int32, shape=(max(num_frames, 1),))
    pdf_ids[:] = NOT_ALIGNED
    pdf_ids.flush()
