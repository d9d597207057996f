"""What a student learns of frames on which the ensemble is wrong: its likeliest senone is not the label."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from asr_kd.data.windows import NO_LABEL

WrongFrames = Literal["keep", "drop", "hard"]
"""``keep`` learns them like the others, ``drop`` not at all, ``hard`` their label in the teacher's place.

Source of ``hard``: Meng et al. 2019, "Conditional teacher-student learning".
"""


class FrameWeights(NamedTuple):
    """What the loss of a batch is told of its frames.

    Attributes:
        pdf_ids: Hard labels ``[B]``; ``NO_LABEL`` where the hard term leaves a frame out.
        soft: Weight of the soft term, or of each frame's in it ``[B]``.
        hard: Weight of the hard term, likewise.
    """

    pdf_ids: Tensor
    soft: float | Tensor
    hard: float | Tensor


def wrong_frames(likeliest: Tensor, pdf_ids: Tensor) -> Tensor:
    """Return where there is a label ``[B]`` and the ensemble's likeliest senone ``[B]`` is another."""
    return (pdf_ids != NO_LABEL) & (likeliest != pdf_ids)


def drop_wrong(weights: FrameWeights, wrong: Tensor) -> FrameWeights:
    """Return weights with which both terms are means over the other frames alone.

    Args:
        weights: With one weight a term.
        wrong: ``[B]``.
    """
    right = ~wrong
    labels = torch.where(wrong, NO_LABEL, weights.pdf_ids)
    scale = len(wrong) / right.sum().clamp_min(1)
    return FrameWeights(labels, weights.soft * scale * right, weights.hard)


def learn_labels_of_wrong(weights: FrameWeights, wrong: Tensor) -> FrameWeights:
    """Return weights with which the soft term's weight goes to the hard label on wrong frames.

    The loss is the mean over frames of ``soft * T^2 CE(q_T, p_T)``, or of ``soft * CE(y, p_1)`` where the
    ensemble is wrong, and the hard term as before.

    Args:
        weights: With one weight a term.
        wrong: ``[B]``.
    """
    # The hard term is a mean over labelled frames, the soft one over all.
    labelled_share = (weights.pdf_ids != NO_LABEL).sum() / len(wrong)
    hard = weights.hard + weights.soft * labelled_share * wrong
    return FrameWeights(weights.pdf_ids, weights.soft * ~wrong, hard)
