"""Means of tempered posteriors against values worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from asr_kd.distill.ensemble import ensemble_log_posteriors
from asr_kd.errors import AsrKdError

# At T = 2 teacher 1 gives 1/4 and 3/4, teacher 2 gives 4/5 and 1/5.
LOGITS = torch.tensor([[[0.0, 2 * math.log(3)]], [[2 * math.log(4), 0.0]]])  # [N = 2, T = 1, S = 2]


def test_arithmetic_mean_tempers_each_teacher_first():
    # (1/4 + 4/5) / 2 and (3/4 + 1/5) / 2
    q = ensemble_log_posteriors(LOGITS, 2.0).exp()
    torch.testing.assert_close(q, torch.tensor([[0.525, 0.475]]))


def test_geometric_mean_is_renormalised():
    # sqrt(1/4 * 4/5) : sqrt(3/4 * 1/5) = sqrt(4) : sqrt(3)
    q = ensemble_log_posteriors(LOGITS, 2.0, "geometric").exp()
    torch.testing.assert_close(q, torch.tensor([[2 / (2 + 3**0.5), 3**0.5 / (2 + 3**0.5)]]))


def test_weights_need_not_sum_to_one():
    # (3 * 1/4 + 1 * 4/5) / 4
    q = ensemble_log_posteriors(LOGITS, 2.0, "weighted", [3.0, 1.0]).exp()
    torch.testing.assert_close(q, torch.tensor([[0.3875, 0.6125]]))


def test_a_weight_of_zero_leaves_a_teacher_out():
    q = ensemble_log_posteriors(LOGITS, 2.0, "weighted", [0.0, 5.0]).exp()
    torch.testing.assert_close(q, torch.tensor([[0.8, 0.2]]))


def test_temperature_divides_the_logits():
    # T = 1: 1/10, 9/10 and 16/17, 1/17
    q = ensemble_log_posteriors(LOGITS, 1.0).exp()
    torch.testing.assert_close(q, torch.tensor([[(0.1 + 16 / 17) / 2, (0.9 + 1 / 17) / 2]]))


def test_the_softmax_runs_over_senones_and_not_over_time():
    logits = torch.randn(3, 7, 5, generator=torch.Generator().manual_seed(1))
    sums = ensemble_log_posteriors(logits, 3.0).exp().sum(-1)
    torch.testing.assert_close(sums, torch.ones(7))


def test_far_logits_stay_finite_in_the_log_domain():
    # Both teachers give senone 1 e^-500; float32 probabilities would give log 0.
    logits = torch.tensor([[[1000.0, 0.0]], [[1000.0, 0.0]]])
    log_q = ensemble_log_posteriors(logits, 2.0)
    torch.testing.assert_close(log_q, torch.tensor([[0.0, -500.0]]))


def test_teachers_may_come_one_at_a_time():
    q = ensemble_log_posteriors((teacher for teacher in LOGITS), 2.0)
    torch.testing.assert_close(q, ensemble_log_posteriors(LOGITS, 2.0))


@pytest.mark.parametrize(
    ("logits", "temperature", "averaging", "weights"),
    [
        (LOGITS, 0.0, "arithmetic", None),
        (LOGITS, 2.0, "median", None),
        (LOGITS, 2.0, "arithmetic", [1.0, 1.0]),
        (LOGITS, 2.0, "weighted", None),
        (LOGITS, 2.0, "weighted", [1.0]),
        (LOGITS, 2.0, "weighted", [1.0, 1.0, 1.0]),
        (LOGITS, 2.0, "weighted", [1.0, -1.0]),
        (LOGITS[:0], 2.0, "arithmetic", None),
        ([LOGITS[0], LOGITS[0, :, :1]], 2.0, "arithmetic", None),
    ],
)
def test_what_does_not_fit_is_refused(logits, temperature, averaging, weights):
    with pytest.raises(AsrKdError):
        ensemble_log_posteriors(logits, temperature, averaging, weights)
