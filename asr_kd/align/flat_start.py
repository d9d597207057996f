"""Flat start: monophone mixtures trained from transcripts alone by Viterbi EM."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from asr_kd.align.corpus import AlignmentCorpus, AlignmentReport
from asr_kd.align.gmm import Array, DiagGmm
from asr_kd.align.gmm_training import GmmStatistics, maximise, mix_up, split_targets
from asr_kd.align.passes import NOT_ALIGNED, ChunkResult, FlatStartWorker, Pass, Task
from asr_kd.align.pool import worker_pool
from asr_kd.align.segments import self_loop_probabilities
from asr_kd.align.viterbi import AlignmentConfig
from asr_kd.lang.hmm import Hmm
from asr_kd.lang.lexicon import Lexicon
from asr_kd.progress import Meter, progress

_SCRATCH_FILE = "pdf_ids.npy"
_LEAST_VARIANCE = 1e-8


class FlatStartConfig(BaseModel):
    """Viterbi EM from equal alignments.

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


@dataclass(frozen=True)
class FlatStartResult:
    """What a flat start gives.

    Attributes:
        gmm: The mixtures.
        hmm: The model with its self-loop probabilities.
        log_likelihoods: ``log p(x | pdf)`` per aligned frame, at each iteration; the first is that of
            one Gaussian for each pdf, estimated from the equal alignment.
        report: Of the last alignment.
    """

    gmm: DiagGmm
    hmm: Hmm
    log_likelihoods: list[float]
    report: AlignmentReport


def train_monophone(
    corpus: AlignmentCorpus,
    lexicon: Lexicon,
    hmm: Hmm,
    config: FlatStartConfig,
    alignment: AlignmentConfig,
    num_processes: int = 1,
    scratch: Path | None = None,
) -> FlatStartResult:
    """Train mixtures and self-loops from transcripts alone.

    The result does not depend on the number of processes.

    Args:
        corpus: Features (normalised, without deltas) and transcripts.
        lexicon: Pronunciations of all words.
        hmm: Untrained model; its self-loop probabilities are the first ones.
        config: The schedule.
        alignment: Beams, silence and the share of utterances that may fail.
        num_processes: Worker processes; 1 works in this one.
        scratch: Existing folder for a file with 4 bytes a frame; a temporary one by default.

    Raises:
        AlignmentError: When more than ``alignment.max_failed_share`` of the utterances fail.
        LexiconError: For words without a pronunciation.

    Source: Kaldi ``steps/train_mono.sh``.
    """
    corpus.check(lexicon)
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        path = Path(folder) / _SCRATCH_FILE
        _make_scratch(path, len(corpus.open().frames))
        arguments = (corpus, lexicon, alignment, config.acoustic_scale, config.delta_order, path)
        with worker_pool(num_processes, FlatStartWorker, *arguments) as run:
            return _FlatStart(corpus, hmm, config, alignment, run).train()


def _make_scratch(path: Path, num_frames: int) -> None:
    pdf_ids = np.lib.format.open_memmap(path, mode="w+", dtype=np.int32, shape=(max(num_frames, 1),))
    pdf_ids[:] = NOT_ALIGNED
    pdf_ids.flush()


@dataclass
class _Totals:
    """Sums over the chunks of one pass."""

    statistics: GmmStatistics
    num_frames: Array  # [S]
    num_visits: Array  # [S]
    report: AlignmentReport = field(default_factory=AlignmentReport)

    def add(self, result: ChunkResult) -> None:
        self.statistics.add(result.statistics)
        self.num_frames += result.num_frames
        self.num_visits += result.num_visits
        self.report.num_aligned += result.num_aligned
        self.report.failures += result.failures


class _FlatStart:
    """The state of the training between passes."""

    def __init__(
        self,
        corpus: AlignmentCorpus,
        hmm: Hmm,
        config: FlatStartConfig,
        alignment: AlignmentConfig,
        run: Callable[[Iterable[Task]], Iterator[ChunkResult]],
    ) -> None:
        self._corpus = corpus
        self._hmm = hmm
        self._config = config
        self._alignment = alignment
        self._run = run
        self._report = AlignmentReport()
        self._log_likelihoods: list[float] = []
        dim = int(corpus.open().frames.shape[1]) * (config.delta_order + 1)
        self._gmm = _standard_gaussians(hmm.num_pdfs, dim)
        self._variance_floor: Array = np.zeros(dim)

    def train(self) -> FlatStartResult:
        config = self._config
        num_passes = config.num_iterations + 1
        with progress("flat start", num_passes * len(self._corpus.transcripts), "utterances") as meter:
            self._start_from_equal_alignment(meter)
            for iteration in range(1, num_passes):
                kind = Pass.ALIGN if iteration in config.realign_iterations else Pass.KEEP
                self._iterate(iteration, self._pass(kind, f"iteration {iteration}", meter))
        return FlatStartResult(self._gmm, self._hmm, self._log_likelihoods, self._report)

    def _start_from_equal_alignment(self, meter: Meter) -> None:
        """Estimate one Gaussian for each pdf; those that no frame fell to take all frames' moments."""
        totals = self._pass(Pass.EQUAL, "equal alignment", meter)
        mean, variance = totals.statistics.global_moments()
        self._variance_floor = np.maximum(self._config.variance_floor * variance, _LEAST_VARIANCE)
        shape = self._gmm.means.shape
        everywhere = DiagGmm(
            self._gmm.weights,
            np.broadcast_to(mean, shape),
            np.broadcast_to(np.maximum(variance, self._variance_floor), shape),
            self._gmm.pdf_offsets,
        )
        self._gmm = maximise(everywhere, totals.statistics, self._variance_floor, self._config.min_occupancy)

    def _pass(self, kind: Pass, name: str, meter: Meter) -> _Totals:
        num_pdfs = self._hmm.num_pdfs
        totals = _Totals(
            GmmStatistics.zeros(self._gmm.num_gaussians, self._gmm.dim),
            np.zeros(num_pdfs, dtype=np.int64),
            np.zeros(num_pdfs, dtype=np.int64),
        )
        tasks = (Task(kind, utt_ids, self._gmm, self._hmm) for utt_ids in self._corpus.chunks())
        for result in self._run(tasks):
            totals.add(result)
            meter.advance(result.num_aligned + len(result.failures), name)
        if kind is not Pass.KEEP:
            totals.report.check(self._alignment.max_failed_share)
            self._report = totals.report
        return totals

    def _iterate(self, iteration: int, totals: _Totals) -> None:
        """Re-estimate everything from the sums of a pass, then split components."""
        config = self._config
        statistics = totals.statistics
        self._log_likelihoods.append(statistics.log_likelihood / statistics.num_frames)
        self._hmm = self._hmm.with_self_loops(self_loop_probabilities(totals.num_frames, totals.num_visits))
        self._gmm = maximise(self._gmm, statistics, self._variance_floor, config.min_occupancy)
        if iteration <= config.last_mixing_iteration:
            targets = split_targets(
                totals.num_frames,
                self._num_gaussians_after(iteration),
                config.mixing_power,
                config.min_frames_per_gaussian,
            )
            self._gmm = mix_up(self._gmm, targets, seed=config.seed + iteration)

    def _num_gaussians_after(self, iteration: int) -> int:
        num_pdfs = self._hmm.num_pdfs
        growth = max(self._config.total_gaussians - num_pdfs, 0)
        return num_pdfs + growth * iteration // self._config.last_mixing_iteration


def _standard_gaussians(num_pdfs: int, dim: int) -> DiagGmm:
    """Return one standard Gaussian for each pdf: a place to collect the first statistics in."""
    shape = (num_pdfs, dim)
    return DiagGmm(np.ones(num_pdfs), np.zeros(shape), np.ones(shape), np.arange(num_pdfs + 1))
