"""The place of LDA and MLLT in the training of mixtures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from asr_kd.align.gmm import DiagGmm
from asr_kd.align.lda import lda_matrix
from asr_kd.align.mllt import mllt_matrix, mllt_objective
from asr_kd.align.passes import Pass
from asr_kd.align.spliced import SplicedTransform
from asr_kd.align.viterbi_training import (
    Totals,
    TrainingSchedule,
    ViterbiTraining,
    first_gaussians,
    standard_gaussians,
)
from asr_kd.progress import Meter, say


def start_with_lda(
    training: ViterbiTraining, reach: int, dim: int, schedule: TrainingSchedule, meter: Meter
) -> Totals:
    """Give the mixtures LDA's features, and begin them anew with one Gaussian a senone.

    Args:
        training: Whose alignment of senones gives the classes; changed.
        reach: Frames to each side that LDA sees.
        dim: Dimensions that it leaves.
        schedule: Of the first Gaussians.
        meter: Of the training.

    Returns:
        The sums of a pass with the first Gaussians.

    Raises:
        AlignmentError: When spliced features have fewer dimensions.

    Source: Kaldi ``steps/train_lda_mllt.sh``.
    """
    num_spliced = training.stored_dim * (2 * reach + 1)
    training.transform = SplicedTransform(reach, np.eye(num_spliced))
    classes = training.run_pass(Pass.CLASSES, "LDA", meter).classes
    assert classes is not None, "a pass over aligned utterances"
    training.transform = SplicedTransform(reach, lda_matrix(classes, dim))
    training.gmm = standard_gaussians(training.hmm.num_pdfs, dim)
    totals = training.run_pass(Pass.KEEP, "LDA", meter)
    training.gmm, training.variance_floor = first_gaussians(totals.statistics, schedule)
    return training.run_pass(Pass.KEEP, "iteration 1", meter)


def update_mllt(training: ViterbiTraining, meter: Meter) -> None:
    """Estimate a transform of the present features; apply it to them and to the means."""
    assert training.transform is not None, "MLLT comes after LDA"
    statistics = training.run_pass(Pass.MLLT, "MLLT", meter).mllt
    assert statistics is not None, "a pass over aligned utterances"
    matrix = mllt_matrix(statistics)
    gain = mllt_objective(matrix, statistics) - mllt_objective(np.eye(len(matrix)), statistics)
    say(f"MLLT: {gain:.3f} more log-likelihood a frame")
    training.transform = replace(training.transform, matrix=matrix @ training.transform.matrix)
    gmm = training.gmm
    training.gmm = DiagGmm(gmm.weights, gmm.means @ matrix.T, gmm.variances, gmm.pdf_offsets)
