"""Flat start: monophone mixtures trained from transcripts alone by Viterbi EM."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asr_kd.align.corpus import AlignmentCorpus, AlignmentReport
from asr_kd.align.gmm import DiagGmm
from asr_kd.align.passes import Pass, PassWorker
from asr_kd.align.pool import worker_pool
from asr_kd.align.spliced import SplicedTransform
from asr_kd.align.viterbi import AlignmentConfig
from asr_kd.align.viterbi_training import (
    SCRATCH_FILE,
    TrainingSchedule,
    ViterbiTraining,
    first_gaussians,
    make_scratch,
    standard_gaussians,
)
from asr_kd.lang.hmm import Hmm
from asr_kd.lang.lexicon import Lexicon
from asr_kd.progress import progress


class FlatStartConfig(TrainingSchedule):
    """Viterbi EM from equal alignments; its settings are those of any schedule."""


@dataclass(frozen=True)
class TrainedMixtures:
    """What a flat start gives.

    Attributes:
        gmm: The mixtures.
        hmm: The model with its self-loop probabilities.
        log_likelihoods: ``log p(x | pdf)`` per aligned frame, at each iteration; the first is that of
            one Gaussian for each pdf, estimated from the equal alignment.
        report: Of the last alignment.
        transform: What makes the mixtures' features; deltas where it is None.
    """

    gmm: DiagGmm
    hmm: Hmm
    log_likelihoods: list[float]
    report: AlignmentReport
    transform: SplicedTransform | None = None


def train_monophone(
    corpus: AlignmentCorpus,
    lexicon: Lexicon,
    hmm: Hmm,
    config: FlatStartConfig,
    alignment: AlignmentConfig,
    num_processes: int = 1,
    scratch: Path | None = None,
) -> TrainedMixtures:
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
    num_passes = config.num_iterations + 1
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        path = Path(folder) / SCRATCH_FILE
        make_scratch(path, len(corpus.open().frames))
        arguments = (corpus, lexicon, alignment, config.acoustic_scale, config.delta_order, path)
        dim = int(corpus.open().frames.shape[1]) * (config.delta_order + 1)
        gmm = standard_gaussians(hmm.num_pdfs, dim)
        with (
            worker_pool(num_processes, PassWorker, *arguments) as run,
            progress("flat start", num_passes * len(corpus.transcripts), "utterances") as meter,
        ):
            training = ViterbiTraining(corpus, hmm, gmm, np.zeros(dim), config, alignment, run)
            totals = training.run_pass(Pass.EQUAL, "equal alignment", meter)
            training.gmm, training.variance_floor = first_gaussians(totals.statistics, config)
            for iteration in range(1, num_passes):
                training.iterate(iteration, meter)
    return TrainedMixtures(training.gmm, training.hmm, training.log_likelihoods, training.report)
