"""The ensemble teacher: tempered posteriors of several nets, averaged in the log domain."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Literal

import torch
from torch import Tensor

from asr_kd.errors import AsrKdError

Averaging = Literal["arithmetic", "geometric", "weighted"]


def tempered_log_posteriors(logits: Tensor, temperature: float) -> Tensor:
    """Return ``log softmax(logits / T)`` over the last dimension in float32.

    Args:
        logits: ``[..., S]``.
        temperature: T above 0.
    """
    if not (math.isfinite(temperature) and temperature > 0):
        raise AsrKdError("a temperature must be above 0", got=temperature)
    return torch.log_softmax(logits.float() / temperature, dim=-1)


def ensemble_log_posteriors(
    logits: Tensor | Iterable[Tensor],
    temperature: float,
    averaging: Averaging = "arithmetic",
    weights: Sequence[float] | None = None,
) -> Tensor:
    """Return the log of the teachers' averaged tempered posteriors.

    Every teacher is tempered first and averaged then: ``q = mean_n softmax(v_n / T)`` (arithmetic,
    weighted) or ``q ~ exp(mean_n log softmax(v_n / T))``, renormalised (geometric).

    Args:
        logits: ``[N, T, S]``, or one ``[T, S]`` a teacher; an iterator keeps one teacher in memory at a time.
        temperature: Of every teacher's softmax.
        averaging: Which mean is taken.
        weights: One a teacher for ``weighted``, of any sum above 0; None otherwise.

    Returns:
        log q, float32 ``[T, S]``; every row sums to 1 in the linear domain.

    Raises:
        AsrKdError: For no teachers, shapes that differ, or weights that do not fit.

    Source: Hinton, Vinyals & Dean 2015, sections 2 and 4 ("the arithmetic or geometric mean").
    """
    log_weights = _log_weights(averaging, weights)
    total: Tensor | None = None
    num_teachers = 0
    for teacher in logits:
        log_p = tempered_log_posteriors(teacher, temperature)  # [T, S]
        if total is not None and total.shape != log_p.shape:
            raise AsrKdError(
                "teachers' logits differ in shape", expected=list(total.shape), got=list(log_p.shape)
            )
        if log_weights is not None:
            if num_teachers == len(log_weights):
                raise AsrKdError("more teachers than weights", expected=f"{len(log_weights)} teachers")
            log_p = log_p + log_weights[num_teachers]
        if total is None:
            total = log_p
        elif averaging == "geometric":
            total = total + log_p
        else:
            total = torch.logaddexp(total, log_p)
        num_teachers += 1
    if total is None or (log_weights is not None and num_teachers != len(log_weights)):
        raise AsrKdError(
            "teachers and weights differ in number", expected=weights and len(weights), got=num_teachers
        )
    if averaging == "geometric":
        total = total / num_teachers
    # The rows of an arithmetic mean sum to 1 already; here the rounding of the additions is taken out.
    return torch.log_softmax(total, dim=-1)


def mean_weights(num_teachers: int, averaging: Averaging, weights: Sequence[float] | None) -> list[float]:
    """Return each teacher's weight in the mean; they sum to 1.

    Raises:
        AsrKdError: For no teachers, or weights that do not fit.
    """
    log_weights = _log_weights(averaging, weights)
    if num_teachers == 0 or (log_weights is not None and len(log_weights) != num_teachers):
        raise AsrKdError(
            "teachers and weights differ in number", expected=weights and len(weights), got=num_teachers
        )
    if log_weights is None:
        return [1 / num_teachers] * num_teachers
    return [math.exp(each) for each in log_weights]


def _log_weights(averaging: Averaging, weights: Sequence[float] | None) -> list[float] | None:
    if averaging not in ("arithmetic", "geometric", "weighted"):
        raise AsrKdError("unknown averaging", expected="arithmetic, geometric or weighted", got=averaging)
    if averaging != "weighted":
        if weights is not None:
            raise AsrKdError(
                f"averaging {averaging} takes no weights", got=list(weights), hint="say weighted"
            )
        return None
    if (
        not weights
        or not all(math.isfinite(weight) and weight >= 0 for weight in weights)
        or sum(weights) == 0
    ):
        raise AsrKdError("weighted averaging needs one weight of at least 0 a teacher", got=weights)
    return [math.log(weight / sum(weights)) if weight else -math.inf for weight in weights]
