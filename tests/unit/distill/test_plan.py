"""Predictions of size and error, and the choice for a budget."""

from __future__ import annotations

import math

import pytest
import torch
from pydantic import ValidationError

from asr_kd.distill.dense_code import Dense
from asr_kd.distill.kept_code import Threshold, TopK
from asr_kd.distill.plan import Budget, choose, estimate_code, fit_code, make_plan
from asr_kd.distill.quality import LEAST_PROBABILITY, compare_rows
from asr_kd.distill.sampled_code import Sampled
from asr_kd.distill.sparse import make_code
from asr_kd.distill.targets import SoftTargets
from asr_kd.errors import ShardError


@pytest.fixture(scope="module")
def sample():
    generator = torch.Generator().manual_seed(0)
    utterances = []
    for number in range(3):
        logits = 3 * torch.randn(12, 200, generator=generator).repeat_interleave(6, 0)
        utterances.append((f"utt-{number}", logits.log_softmax(1)))
    return utterances


def test_differences_by_hand():
    q = torch.tensor([[0.5, 0.25, 0.25]])
    soft = SoftTargets(torch.tensor([[0.6]]), torch.tensor([[0]]), torch.tensor([0.4]))
    quality = compare_rows(q.log(), soft)  # 0.6, 0.2, 0.2
    assert quality.divergence.item() == pytest.approx(0.5 * math.log(0.5 / 0.6) + 0.5 * math.log(0.25 / 0.2))
    assert quality.total_variation.item() == pytest.approx(0.1)
    assert quality.mass_kept.item() == pytest.approx(0.5)
    assert quality.agrees.item()
    quality = compare_rows(q.log(), soft, torch.tensor([0.1, 0.3, 0.1]))  # 0.6, 0.3, 0.1
    assert quality.total_variation.item() == pytest.approx(0.15)


def test_a_silenced_senone_counts_as_the_least_probability():
    q = torch.tensor([[0.75, 0.25]])
    quality = compare_rows(q.log(), SoftTargets(torch.tensor([[1.0]]), torch.tensor([[0]])))
    expected = 0.75 * math.log(0.75) + 0.25 * math.log(0.25 / LEAST_PROBABILITY)
    assert quality.divergence.item() == pytest.approx(expected, rel=1e-5)
    assert quality.total_variation.item() == pytest.approx(0.25, rel=1e-5)


def test_the_predicted_size_is_what_encoding_takes(sample):
    estimate = estimate_code(TopK(k=10), sample)
    code = make_code(TopK(k=10), 200)
    total = sum(len(code.encode(log_q, utt_id)) for utt_id, log_q in sample)
    assert estimate.bytes_per_frame == pytest.approx(total / 216)
    assert estimate.total_bytes(216) == pytest.approx(total)
    assert estimate.senones_kept == 10
    assert estimate.top1_agreement == 1
    assert 0 < estimate.divergence <= estimate.divergence_p99


def test_more_senones_cost_more_and_err_less(sample):
    plan = make_plan(sample, [TopK(k=30), Dense(), TopK(k=3)])
    assert [estimate.config.name for estimate in plan] == ["topk", "topk", "dense"]
    assert plan[0].config.k == 3
    assert plan[0].divergence > plan[1].divergence > plan[2].divergence
    assert plan[0].mass_kept < plan[1].mass_kept


def test_a_budget_picks_the_best_within_it(sample):
    plan = make_plan(sample, [TopK(k=k) for k in (2, 5, 10, 40)] + [Sampled(k=10)])
    sizes = {e.config.k: e.bytes_per_frame for e in plan if e.config.name == "topk"}
    assert choose(plan, Budget(max_bytes_per_frame=sizes[10])).config == TopK(k=10)
    errors = {e.config.k: e.divergence for e in plan if e.config.name == "topk"}
    assert choose(plan, Budget(max_divergence=errors[5])).config == TopK(k=5)
    assert choose(plan, Budget(max_bytes_per_frame=1e4, unbiased=True)).config == Sampled(k=10)
    with pytest.raises(ShardError, match="no code fits"):
        choose(plan, Budget(max_bytes_per_frame=0.1))


def test_an_empty_budget_is_refused():
    with pytest.raises(ValidationError, match="needs max_bytes_per_frame"):
        Budget()


def test_bisection_finds_the_largest_code_within_a_size(sample):
    found = fit_code(lambda k: TopK(k=k), sample, max_bytes=20, most=100)
    assert estimate_code(found, sample).bytes_per_frame <= 20
    assert estimate_code(TopK(k=found.k + 1), sample).bytes_per_frame > 20
    assert fit_code(lambda n: Threshold(least=1 / (n + 1)), sample, max_bytes=0.1, most=50) is None
