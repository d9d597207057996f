"""The loss against hand-computed values, torch's dense losses, and the known faults of others."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from asr_kd.data.windows import NO_LABEL
from asr_kd.distill.loss import distillation_loss
from asr_kd.distill.targets import SoftTargets, dense_posteriors, soft_targets
from asr_kd.errors import AsrKdError

TEMPERATURES = [1.0, 2.0, 5.0, 10.0]


def random_case(num_frames=40, num_senones=23, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(num_frames, num_senones, generator=generator)
    q = (3 * torch.randn(num_frames, num_senones, generator=generator)).softmax(1)
    pdf_ids = torch.randint(num_senones, (num_frames,), generator=generator)
    pdf_ids[::3] = NO_LABEL
    return logits.requires_grad_(), q, pdf_ids


def top(q, k):
    probs, ids = q.topk(k)
    return SoftTargets(probs, ids, 1 - probs.sum(1))


def dense_reference(logits, q, pdf_ids, temperature, soft_weight, hard_weight):
    soft = -(q * (logits / temperature).log_softmax(1)).sum(1).mean()
    hard = functional.cross_entropy(logits, pdf_ids, ignore_index=NO_LABEL)
    return soft_weight * temperature**2 * soft + hard_weight * hard


def test_dense_value_by_hand():
    # T = 2: the student gives 1/4 and 3/4, the target is 1/2 each.
    # T = 1: it gives 1/10 and 9/10, the label is 0.
    logits = torch.tensor([[0.0, 2 * math.log(3)]])
    soft = SoftTargets(torch.tensor([[0.5, 0.5]]))
    terms = distillation_loss(logits, soft, torch.tensor([0]), 2.0, soft_weight=0.25, hard_weight=3.0)
    assert terms.soft.item() == pytest.approx(0.5 * math.log(4) + 0.5 * math.log(4 / 3), rel=1e-6)
    assert terms.hard.item() == pytest.approx(math.log(10), rel=1e-6)
    expected = 0.25 * 4 * (0.5 * math.log(16 / 3)) + 3 * math.log(10)
    assert terms.total.item() == pytest.approx(expected, rel=1e-6)


def test_tail_class_by_hand():
    # The student gives 1/8, 1/8, 1/4, 1/2; senone 3 is kept with 0.7, so the tail has 0.3 against its 1/2.
    logits = torch.tensor([[0.0, 0.0, math.log(2), math.log(4)]], requires_grad=True)
    soft = SoftTargets(torch.tensor([[0.7]]), torch.tensor([[3]]), torch.tensor([0.3]))
    terms = distillation_loss(logits, soft, torch.tensor([NO_LABEL]), 1.0)
    assert terms.soft.item() == pytest.approx(math.log(2), rel=1e-6)
    terms.total.backward()
    # 1/2 - 0.7 for the kept one; the tail's 1/2 - 0.3 in proportion 1 : 1 : 2 among the others
    torch.testing.assert_close(logits.grad, torch.tensor([[0.05, 0.05, 0.1, -0.2]]))


def test_dropped_tail_by_hand():
    # -0.7 log 1/2, gradient 0.7 p - q
    logits = torch.tensor([[0.0, 0.0, math.log(2), math.log(4)]], requires_grad=True)
    soft = SoftTargets(torch.tensor([[0.7]]), torch.tensor([[3]]))
    terms = distillation_loss(logits, soft, torch.tensor([NO_LABEL]), 1.0)
    assert terms.soft.item() == pytest.approx(0.7 * math.log(2), rel=1e-6)
    terms.total.backward()
    torch.testing.assert_close(logits.grad, torch.tensor([[0.0875, 0.0875, 0.175, -0.35]]))


@pytest.mark.parametrize(
    ("temperature", "expected"),
    # The student is undecided and the teacher's logits differ by 2 log 3:
    # T * (1/2 - q_0), q_0 = 9^(1/T) / (1 + 9^(1/T))
    [(1.0, -0.4), (2.0, -0.5), (5.0, -0.54060), (10.0, -0.54710)],
)
def test_gradient_size_hardly_depends_on_temperature(temperature, expected):
    logits = torch.zeros(1, 2, requires_grad=True)
    q = (torch.tensor([[2 * math.log(3), 0.0]]) / temperature).softmax(1)
    distillation_loss(logits, SoftTargets(q), torch.tensor([NO_LABEL]), temperature).total.backward()
    torch.testing.assert_close(logits.grad, torch.tensor([[expected, -expected]]), rtol=1e-4, atol=0)


@pytest.mark.parametrize("sparse", [False, True])
def test_t_squared_stays_when_the_hard_weight_is_zero(sparse):
    logits, q, pdf_ids = random_case()
    soft = top(q, 23) if sparse else SoftTargets(q)
    terms = distillation_loss(logits, soft, pdf_ids, 5.0, soft_weight=1.0, hard_weight=0.0)
    assert terms.total.item() == pytest.approx(25 * terms.soft.item(), rel=1e-6)


def test_high_temperature_limit_is_squared_error_of_logits():
    # dC/dz_i = (1 / (N T^2)) (z_i - v_i) for logits of zero mean, so T^2 times it is (z_i - v_i) / N.
    generator = torch.Generator().manual_seed(3)
    z, v = torch.randn(2, 1, 12, generator=generator, dtype=torch.float64)
    z, v = (z - z.mean()).float().requires_grad_(), v - v.mean()
    temperature = 1000.0
    soft = SoftTargets((v / temperature).softmax(1))
    distillation_loss(z, soft, torch.tensor([NO_LABEL]), temperature).total.backward()
    torch.testing.assert_close(z.grad, ((z.detach() - v) / 12).float(), rtol=0.01, atol=2e-3)


@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("overwrite", [False, True])
def test_value_and_gradient_equal_the_dense_loss(temperature, sparse, overwrite, monkeypatch):
    monkeypatch.setattr("asr_kd.am.row_chunks._ELEMENTS", 7 * 23)  # chunks that do not divide the batch
    logits, q, pdf_ids = random_case()
    expected = dense_reference(logits, q, pdf_ids, temperature, 0.7, 0.5)
    (gradient,) = torch.autograd.grad(expected, logits)
    soft = top(q, 23) if sparse else SoftTargets(q)
    terms = distillation_loss(logits * 1, soft, pdf_ids, temperature, 0.7, 0.5, overwrite_logits=overwrite)
    terms.total.backward()
    torch.testing.assert_close(terms.total, expected)
    torch.testing.assert_close(logits.grad, gradient)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_tail_class_equals_a_dense_loss_over_merged_classes(temperature):
    logits, q, _ = random_case()
    soft = top(q, 5)
    p = (logits / temperature).softmax(1)
    kept = p.gather(1, soft.ids)
    expected = -(soft.probs * kept.log()).sum(1) - soft.tail * (1 - kept.sum(1)).log()
    (gradient,) = torch.autograd.grad(expected.mean() * temperature**2, logits)
    terms = distillation_loss(logits, soft, torch.full((40,), NO_LABEL), temperature)
    terms.total.backward()
    torch.testing.assert_close(terms.soft, expected.mean().detach())
    torch.testing.assert_close(logits.grad, gradient)


def test_tail_is_exact_where_the_student_leaves_it_nothing():
    # 1 - p would round to 0; the tail's true log probability is -40 + log 2.
    logits = torch.tensor([[40.0, 0.0, 0.0]], requires_grad=True)
    soft = SoftTargets(torch.tensor([[0.9]]), torch.tensor([[0]]), torch.tensor([0.1]))
    terms = distillation_loss(logits, soft, torch.tensor([NO_LABEL]), 1.0)
    assert terms.soft.item() == pytest.approx(0.1 * (40 - math.log(2)), rel=1e-5)
    terms.total.backward()
    torch.testing.assert_close(logits.grad, torch.tensor([[0.1, -0.05, -0.05]]))


@pytest.mark.parametrize("with_tail", [False, True])
def test_padding_of_probability_zero_changes_nothing(with_tail):
    logits, q, pdf_ids = random_case()
    soft = top(q, 4)
    soft = soft if with_tail else SoftTargets(soft.probs, soft.ids)
    # Padding is put first, under the id 0, which some rows keep and others do not.
    padded = SoftTargets(functional.pad(soft.probs, (2, 0)), functional.pad(soft.ids, (2, 0)), soft.tail)
    results = []
    for targets in (soft, padded):
        terms = distillation_loss(logits, targets, pdf_ids, 2.0, 1.0, 0.5)
        results.append((terms.total, torch.autograd.grad(terms.total, logits)[0]))
    torch.testing.assert_close(results[0], results[1])


def test_a_row_that_keeps_every_senone_has_no_tail():
    logits, q, pdf_ids = random_case()
    probs, ids = q.topk(23)
    soft = SoftTargets(probs, ids, torch.full((40,), 1e-4))
    terms = distillation_loss(logits, soft, pdf_ids, 2.0)
    terms.total.backward()
    expected = -(q * (logits / 2).log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(terms.soft, expected.detach())
    assert logits.grad.isfinite().all()


def test_hard_term_is_the_mean_over_labelled_frames():
    logits, q, pdf_ids = random_case()
    labelled = pdf_ids != NO_LABEL
    terms = distillation_loss(logits, SoftTargets(q), pdf_ids, 2.0, 0.0, 1.0)
    torch.testing.assert_close(terms.total, functional.cross_entropy(logits[labelled], pdf_ids[labelled]))


def test_no_labels_at_all_give_a_finite_gradient_of_the_soft_term_alone():
    logits, q, pdf_ids = random_case()
    unlabelled = torch.full_like(pdf_ids, NO_LABEL)
    results = [
        torch.autograd.grad(
            distillation_loss(logits, SoftTargets(q), unlabelled, 2.0, 1.0, weight).total, logits
        )[0]
        for weight in (0.5, 0.0)
    ]
    torch.testing.assert_close(results[0], results[1])
    assert results[0].isfinite().all()


def test_the_student_is_tempered():
    logits, q, pdf_ids = random_case()
    terms = distillation_loss(logits, SoftTargets((q.log() / 4).softmax(1)), pdf_ids, 4.0)
    untempered = -(q.log().div(4).softmax(1) * logits.log_softmax(1)).sum(1).mean()
    assert abs(terms.soft.item() - untempered.item()) > 0.1


def test_a_time_axis_or_a_wrong_inventory_is_refused():
    _, q, pdf_ids = random_case()
    with pytest.raises(AsrKdError, match="one row of logits"):
        distillation_loss(torch.zeros(2, 20, 23), SoftTargets(q), pdf_ids, 2.0)
    with pytest.raises(AsrKdError, match="senone inventory"):
        distillation_loss(torch.zeros(40, 24), SoftTargets(q), pdf_ids, 2.0)
    with pytest.raises(AsrKdError, match="number of frames"):
        distillation_loss(torch.zeros(39, 23), SoftTargets(q), pdf_ids, 2.0)


def test_bfloat16_logits_are_summed_in_float32():
    logits, q, pdf_ids = random_case()
    low = logits.detach().bfloat16().requires_grad_()
    terms = distillation_loss(low, SoftTargets(q), pdf_ids, 2.0, 1.0, 0.5)
    expected = dense_reference(low.detach().float(), q, pdf_ids, 2.0, 1.0, 0.5)
    torch.testing.assert_close(terms.total, expected)
    terms.total.backward()
    assert low.grad.dtype == torch.bfloat16


def test_targets_travel_through_a_batch_by_name():
    _, q, _ = random_case()
    soft = top(q, 5)
    back = soft_targets(soft.tensors())
    assert back.ids is soft.ids
    assert back.tail is soft.tail
    assert soft_targets(SoftTargets(q).tensors()).is_dense


def test_dense_rows_spread_the_tail():
    soft = SoftTargets(torch.tensor([[0.6, 0.1, 0.0]]), torch.tensor([[2, 0, 0]]), torch.tensor([0.3]))
    torch.testing.assert_close(dense_posteriors(soft, 4), torch.tensor([[0.1, 0.15, 0.6, 0.15]]))
    prior = torch.tensor([0.1, 0.2, 0.3, 0.4])
    torch.testing.assert_close(dense_posteriors(soft, 4, prior), torch.tensor([[0.1, 0.1, 0.6, 0.2]]))
