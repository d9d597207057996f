"""Senones: a decision tree from the monophones' alignment, and mixtures of triphones trained with it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from asr_kd.align.build_tree import build_tree, check_num_leaves
from asr_kd.align.corpus import AlignmentCorpus
from asr_kd.align.flat_start import TrainedMixtures
from asr_kd.align.gmm_training import GmmStatistics
from asr_kd.align.lda_mllt import start_with_lda, update_mllt
from asr_kd.align.passes import ChunkResult, Pass, PassWorker, Task
from asr_kd.align.phone_questions import phone_questions
from asr_kd.align.pool import worker_pool
from asr_kd.align.triphone_statistics import TriphoneSums
from asr_kd.align.viterbi import AlignmentConfig
from asr_kd.align.viterbi_training import (
    SCRATCH_FILE,
    TrainingSchedule,
    ViterbiTraining,
    first_gaussians,
    make_scratch,
)
from asr_kd.errors import LexiconError
from asr_kd.lang.hmm import Hmm
from asr_kd.lang.lexicon import Lexicon
from asr_kd.lang.triphone_tree import TriphoneTree
from asr_kd.progress import Meter, progress, say

Runner = Callable[[Iterable[Task]], Iterator[ChunkResult]]


class SenoneConfig(BaseModel):
    """Tied states of triphones.

    Attributes:
        num_leaves: Number of senones S.
        questions: Sets of phones that the tree may ask for; clusters of phones that sound alike by default.
        min_frames: That a senone must have in the alignment of the monophones.
        num_iterations: Re-estimations of the mixtures.
        realign_iterations: Those that align anew first.
        total_gaussians: Components over all senones at the end; fewer where the frames are few.
        last_mixing_iteration: Until here the number of components grows.
        transform: ``lda_mllt`` gives the mixtures spliced frames, projected by LDA and rotated by MLLT, in
            place of deltas.
        splice: Frames to each side that LDA sees.
        transform_dim: Dimensions that LDA leaves.
        mllt_iterations: Those after which MLLT is estimated again.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    num_leaves: int = Field(ge=1)
    questions: tuple[tuple[str, ...], ...] | None = None
    min_frames: float = Field(default=100.0, ge=1)
    num_iterations: int = Field(default=20, ge=1)
    realign_iterations: tuple[int, ...] = (3, 6, 9, 12, 16, 20)
    total_gaussians: int = Field(default=5000, ge=1)
    last_mixing_iteration: int = Field(default=14, ge=1)
    transform: Literal["lda_mllt"] | None = None
    splice: int = Field(default=3, ge=0)
    transform_dim: int = Field(default=40, ge=1)
    mllt_iterations: tuple[int, ...] = (2, 4, 6, 12)

    def identity(self) -> dict[str, Any]:
        """Return the settings as JSON; those of a transform only where there is one."""
        unused = set() if self.transform else {"transform", "splice", "transform_dim", "mllt_iterations"}
        return self.model_dump(mode="json", exclude=unused)

    @property
    def num_transform_passes(self) -> int:
        """Passes over the corpus that a transform asks for."""
        updates = [iteration for iteration in self.mllt_iterations if 2 <= iteration <= self.num_iterations]
        return 0 if self.transform is None else 3 + len(updates)

    def schedule(self, flat_start: TrainingSchedule) -> TrainingSchedule:
        """Return the schedule: all that is not said here is that of the flat start."""
        shared = set(TrainingSchedule.model_fields)
        own = self.model_dump(include=shared)
        return TrainingSchedule.model_validate({**flat_start.model_dump(), **own})

    def check(self, monophones: Hmm) -> None:
        """Refuse what no data can mend, before anything is trained.

        Raises:
            AlignmentError: For fewer leaves than states without context.
            LexiconError: For a question that names an unknown phone.
        """
        check_num_leaves(self.num_leaves, monophones.phone_set, monophones.topology)
        for phone in (phone for question in self.questions or () for phone in question):
            if phone not in monophones.phone_set:
                raise LexiconError(
                    f'a question names the phone "{phone}", which the lexicon has not',
                    where="align.senones.questions",
                    expected=f"phones out of {' '.join(monophones.phone_set.phones)}",
                )


@dataclass(frozen=True)
class SenoneResult:
    """What senones bring.

    Attributes:
        trained: Mixtures, model, likelihoods and report, as those of a flat start.
        num_triphones: Triphones that were seen.
    """

    trained: TrainedMixtures
    num_triphones: int


def train_senones(
    corpus: AlignmentCorpus,
    lexicon: Lexicon,
    monophones: TrainedMixtures,
    config: SenoneConfig,
    flat_start: TrainingSchedule,
    alignment: AlignmentConfig,
    num_processes: int = 1,
    scratch: Path | None = None,
) -> SenoneResult:
    """Build a decision tree and train a mixture for each of its leaves.

    The result does not depend on the number of processes.

    Args:
        corpus: Features (normalised, without deltas) and transcripts.
        lexicon: Pronunciations of all words.
        monophones: Their mixtures align the corpus for the statistics.
        config: The tree and the schedule.
        flat_start: The other settings of the schedule.
        alignment: Beams, silence and the share of utterances that may fail.
        num_processes: Worker processes; 1 works in this one.
        scratch: Existing folder for a file with 4 bytes a frame; a temporary one by default.

    Raises:
        AlignmentError: When more than ``alignment.max_failed_share`` of the utterances fail, or the data or
            the phones do not allow so many senones.

    Source: Kaldi ``steps/train_deltas.sh``, ``steps/train_lda_mllt.sh``.
    """
    corpus.check(lexicon)
    schedule = config.schedule(flat_start)
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        path = Path(folder) / SCRATCH_FILE
        make_scratch(path, len(corpus.open().frames))
        arguments = (corpus, lexicon, alignment, schedule.acoustic_scale, schedule.delta_order, path)
        num_passes = config.num_iterations + 1
        with (
            worker_pool(num_processes, PassWorker, *arguments) as run,
            progress(
                "senones", (num_passes + config.num_transform_passes) * len(corpus.transcripts), "utterances"
            ) as meter,
        ):
            sums = _count(corpus, monophones, schedule, alignment, run, meter)
            hmm, statistics = tie_states(sums, monophones.hmm, config, schedule)
            gmm, floor = first_gaussians(statistics, schedule)
            training = ViterbiTraining(corpus, hmm, gmm, floor, schedule, alignment, run)
            totals = training.run_pass(Pass.CONVERT, "iteration 1", meter, monophones.hmm)
            if config.transform is not None:
                totals = start_with_lda(training, config.splice, config.transform_dim, schedule, meter)
            training.re_estimate(1, totals)
            for iteration in range(2, num_passes):
                training.iterate(iteration, meter)
                if config.transform is not None and iteration in config.mllt_iterations:
                    update_mllt(training, meter)
    trained = TrainedMixtures(
        training.gmm, training.hmm, training.log_likelihoods, training.report, training.transform
    )
    return SenoneResult(trained, sums.num_triphones)


def _count(
    corpus: AlignmentCorpus,
    monophones: TrainedMixtures,
    schedule: TrainingSchedule,
    alignment: AlignmentConfig,
    run: Runner,
    meter: Meter,
) -> TriphoneSums:
    """Align with the monophones, and return the sums of each triphone's states."""
    aligner = ViterbiTraining(
        corpus, monophones.hmm, monophones.gmm, np.zeros(monophones.gmm.dim), schedule, alignment, run
    )
    return aligner.run_pass(Pass.COUNT, "statistics", meter).triphones.sums()


def tie_states(
    sums: TriphoneSums, monophones: Hmm, config: SenoneConfig, schedule: TrainingSchedule
) -> tuple[Hmm, GmmStatistics]:
    """Return the model with a tree, its self-loops those of the monophones, and the sums of its senones."""
    total = sums.counts.sum()
    variance = sums.second.sum(axis=0) / total - (sums.first.sum(axis=0) / total) ** 2
    floor = schedule.variance_floor * variance
    phone_set, topology = monophones.phone_set, monophones.topology
    questions = config.questions or phone_questions(sums, phone_set, floor)
    tree = build_tree(sums, phone_set, topology, questions, config.num_leaves, config.min_frames, floor)
    say(f"senones: {tree.num_pdfs:,} for {sums.num_triphones:,} triphones, {len(questions)} questions")
    owners = [tree.phone_and_state(pdf_id) for pdf_id in range(tree.num_pdfs)]
    monophone_pdfs = [monophones.tree.pdf_id(0, phone, 0, state) for phone, state in owners]
    hmm = Hmm(phone_set, topology, tree, monophones.self_loop_probability[monophone_pdfs])
    return hmm, _senone_statistics(sums, tree)


def _senone_statistics(sums: TriphoneSums, tree: TriphoneTree) -> GmmStatistics:
    statistics = GmmStatistics.zeros(tree.num_pdfs, sums.first.shape[1])
    senones = [tree.pdf_id(*key) for key in sums.keys.tolist()]
    np.add.at(statistics.occupancy, senones, sums.counts)
    np.add.at(statistics.first, senones, sums.first)
    np.add.at(statistics.second, senones, sums.second)
    return statistics
