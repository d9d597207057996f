"""Correct a net for classes that its training data lacked, or held too much of, by their known frequency."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from asr_kd.errors import AsrKdError


def bias_for_share(logits: Tensor, classes: Sequence[int], share: float) -> float:
    """Return what to add to the bias of some classes so that they are chosen as often as they occur.

    No labels are needed: a frame goes to one of the classes when the amount exceeds its margin, the best
    other logit less the best of theirs, so the amount is a quantile of the margins.

    Args:
        logits: ``[N, S]`` of frames with the natural mix of classes.
        classes: Whose bias is moved, all by the same amount.
        share: Of the frames that belong to these classes, between 0 and 1.

    Returns:
        The amount; below 0 for classes that are chosen too often.

    Source: Hinton, Vinyals & Dean 2015, section 3, where the amount was chosen on the test set.
    """
    chosen = torch.zeros(logits.shape[1], dtype=torch.bool)
    chosen[list(classes)] = True
    if not 0 < share < 1 or chosen.all() or not chosen.any():
        raise AsrKdError(
            "a bias is moved for some of the classes, with a share between 0 and 1",
            got=f"classes {list(classes)} of {logits.shape[1]}, share {share}",
        )
    margins = logits[:, ~chosen].amax(1) - logits[:, chosen].amax(1)  # [N]
    return float(margins.double().quantile(share))


def add_bias(logits: Tensor, classes: Sequence[int], amount: float) -> Tensor:
    """Return logits ``[N, S]`` with an amount added to some classes."""
    bias = torch.zeros(logits.shape[1])
    bias[list(classes)] = amount
    return logits + bias
