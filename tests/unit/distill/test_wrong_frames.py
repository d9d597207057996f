"""Frames on which the ensemble is wrong, left out or with their label learnt, against hand-made sums."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from asr_kd.data.windows import NO_LABEL, Batch
from asr_kd.distill.logit_matching import TEACHER_LOGITS, logit_matching_loss
from asr_kd.distill.loss import distillation_loss
from asr_kd.distill.targets import SoftTargets
from asr_kd.distill.wrong_frames import FrameWeights, drop_wrong, learn_labels_of_wrong, wrong_frames
from asr_kd.stages.student_loss import DistillationLoss, StudentConfig

T, SOFT, HARD = 2.0, 0.7, 0.3
# The ensemble is right, wrong, right, and without a label on the fourth frame.
Q = torch.tensor([[0.7, 0.2, 0.1], [0.6, 0.3, 0.1], [0.1, 0.1, 0.8], [0.2, 0.5, 0.3]])
PDF_IDS = torch.tensor([0, 1, 2, NO_LABEL])
LOGITS = torch.tensor([[1.0, 0.0, -1.0], [2.0, 1.0, 0.0], [0.5, 0.1, 0.2], [0.0, 0.3, 0.9]])
WRONG = torch.tensor([False, True, False, False])


def soft_rows(logits):
    return -(Q * (logits / T).log_softmax(1)).sum(1)


def hard_rows(logits):
    return functional.cross_entropy(logits, PDF_IDS.clamp_min(0), reduction="none")


def loss_of(wrong_frames, logits, rows=slice(None)):
    config = StudentConfig(wrong_frames=wrong_frames, soft_weight=SOFT, hard_weight=HARD)
    # Sparse and unsorted, as a code may give them.
    ids = torch.tensor([[2, 1, 0]]).expand(4, 3)
    targets = SoftTargets(Q.flip(1), ids, torch.zeros(4)).rows(rows).tensors()
    batch = Batch(torch.zeros(len(logits), 1, 1), {"pdf_ids": PDF_IDS[rows], **targets})
    return DistillationLoss(config, T)(logits, batch)[0]


def expected_loss(wrong_frames, logits):
    soft, hard = T**2 * soft_rows(logits), hard_rows(logits)
    if wrong_frames == "drop":
        return SOFT * soft[[0, 2, 3]].mean() + HARD * hard[[0, 2]].mean()
    learnt = SOFT * torch.where(WRONG, hard, soft).mean() if wrong_frames == "hard" else SOFT * soft.mean()
    return learnt + HARD * hard[:3].mean()


def test_wrong_is_a_labelled_frame_with_another_likeliest_senone():
    likeliest = SoftTargets(Q).likeliest()
    assert likeliest.tolist() == [0, 0, 2, 1]
    assert wrong_frames(likeliest, PDF_IDS).tolist() == WRONG.tolist()
    sparse = SoftTargets(torch.tensor([[0.2, 0.5], [0.3, 0.0]]), torch.tensor([[7, 4], [9, 1]]))
    assert sparse.likeliest().tolist() == [4, 9]


@pytest.mark.parametrize("how", ["keep", "drop", "hard"])
def test_a_students_loss_and_gradient(how):
    logits = LOGITS.clone().requires_grad_()
    loss_of(how, logits * 1).backward()
    reference = LOGITS.clone().requires_grad_()
    expected = expected_loss(how, reference)
    expected.backward()
    torch.testing.assert_close(loss_of(how, LOGITS), expected.detach())
    torch.testing.assert_close(logits.grad, reference.grad)


@pytest.mark.parametrize("how", ["keep", "drop", "hard"])
@pytest.mark.parametrize("border", [1, 2, 3])
def test_the_mean_over_two_ranks_is_the_loss_of_the_whole_batch(how, border, monkeypatch):
    ranks = [slice(0, border), slice(border, 4)]
    counts = []

    def count(of_this_rank):
        counts.append(of_this_rank.float())
        return of_this_rank.float()

    monkeypatch.setattr("asr_kd.stages.student_loss.distributed.world_size", lambda: 2)
    monkeypatch.setattr("asr_kd.stages.student_loss.distributed.share", count)
    for rows in ranks:
        loss_of(how, LOGITS[rows], rows)
    totals = [
        sum(pair) for pair in zip(*(counts[len(counts) // 2 * rank :] for rank in (0, 1)), strict=False)
    ]
    calls = iter(2 * totals)
    monkeypatch.setattr("asr_kd.stages.student_loss.distributed.share", lambda own: 2 * own / next(calls))
    parts = [loss_of(how, LOGITS[rows], rows) for rows in ranks]
    torch.testing.assert_close(sum(parts) / 2, expected_loss(how, LOGITS))


def test_the_three_ways_differ():
    values = {how: float(loss_of(how, LOGITS)) for how in ("keep", "drop", "hard")}
    assert len({round(value, 4) for value in values.values()}) == 3


def test_hard_without_a_hard_weight_learns_labels_of_wrong_frames_alone():
    logits = LOGITS.clone().requires_grad_()
    weights = learn_labels_of_wrong(FrameWeights(PDF_IDS, 1.0, 0.0), WRONG)
    soft = SoftTargets(Q)
    distillation_loss(logits, soft, weights.pdf_ids, T, weights.soft, weights.hard).total.backward()
    wrong_row = (LOGITS[1].softmax(0) - torch.eye(3)[1]) / 4
    torch.testing.assert_close(logits.grad[1], wrong_row)
    right_row = T * ((LOGITS[0] / T).softmax(0) - Q[0]) / 4
    torch.testing.assert_close(logits.grad[0], right_row)


def test_a_batch_of_wrong_frames_alone_gives_no_gradient_when_they_are_dropped():
    weights = drop_wrong(FrameWeights(torch.tensor([1]), 1.0, 0.5), torch.tensor([True]))
    logits = LOGITS[:1].clone().requires_grad_()
    terms = distillation_loss(logits, SoftTargets(Q[:1]), weights.pdf_ids, T, weights.soft, weights.hard)
    terms.total.backward()
    assert terms.total.item() == 0
    assert not logits.grad.any()


def test_logit_matching_takes_weights_of_frames_too():
    teacher = Q.log()
    config = StudentConfig(loss="logit_matching", wrong_frames="hard", soft_weight=SOFT, hard_weight=HARD)
    batch = Batch(torch.zeros(4, 1, 1), {"pdf_ids": PDF_IDS, TEACHER_LOGITS: teacher})
    total, _ = DistillationLoss(config, 1.0)(LOGITS, batch)
    apart = [
        logit_matching_loss(LOGITS[row : row + 1], teacher[row : row + 1], PDF_IDS[row : row + 1]).soft
        for row in range(4)
    ]
    hard = hard_rows(LOGITS)
    expected = SOFT * (apart[0] + hard[1] + apart[2] + apart[3]) / 4 + HARD * hard[:3].mean()
    torch.testing.assert_close(total, expected)
