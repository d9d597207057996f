"""Squared error on logits: by hand, from stored shards, and where logits cannot be had."""

from __future__ import annotations

import math

import pytest
import torch
from pydantic import ValidationError

from asr_kd.data.windows import NO_LABEL, ContextWindow
from asr_kd.distill.dense_code import Dense
from asr_kd.distill.ensemble import ensemble_log_posteriors
from asr_kd.distill.kept_code import TopK
from asr_kd.distill.logit_matching import TEACHER_LOGITS, logit_matching_loss, teacher_logits
from asr_kd.distill.shard_reader import ShardBatchSource
from asr_kd.distill.shard_set import ShardSet, open_shard_set
from asr_kd.distill.shard_writer import ShardSetWriter
from asr_kd.errors import AsrKdError, ShardError
from asr_kd.stages.student_loss import StudentConfig
from tests.support.shard_sets import facts

NUM_SENONES = 7
WINDOW = ContextWindow(0, 0)


def shard_set(folder, logits, temperature=1.0, averaging="arithmetic", code=None) -> ShardSet:
    """Write one utterance that is labelled by one teacher for each of the logits ``[N, T, S]``."""
    the_facts = facts(
        averaging=averaging,
        temperature=temperature,
        code=code or Dense(),
        teachers=tuple(f"teacher {index}" for index in range(len(logits))),
        feature_dim=1,
        num_senones=NUM_SENONES,
        prior=(1 / NUM_SENONES,) * NUM_SENONES,
    )
    log_q = ensemble_log_posteriors(logits, temperature, averaging)
    with ShardSetWriter(folder, the_facts) as writer:
        # The feature is the frame's number, by which a shuffled frame is known again.
        frames = torch.arange(logits.shape[1])
        writer.add("train", "u1", frames[:, None].float(), frames % NUM_SENONES, log_q)
    writer.finish()
    return open_shard_set(folder)


def random_logits(num_teachers, num_frames=20, scale=8.0):
    generator = torch.Generator().manual_seed(2)
    return scale * torch.randn(num_teachers, num_frames, NUM_SENONES, generator=generator)


def read_logits(shards):
    (batch,) = ShardBatchSource(shards, ["train"], 100, WINDOW, as_logits=True).epoch(0)
    order = batch.windows[:, 0, 0].argsort()
    return batch.targets[TEACHER_LOGITS][order].float()


def test_value_and_gradient_by_hand():
    # Zero-mean student (-1, 1), teacher (2, -2): errors -3 and 3, squares 9 and 9, over 2 S = 4.
    logits = torch.tensor([[5.0, 7.0]], requires_grad=True)
    terms = logit_matching_loss(logits, torch.tensor([[3.0, -1.0]]), torch.tensor([1]), 2.0, 0.5)
    assert terms.soft.item() == pytest.approx(4.5)
    assert terms.hard.item() == pytest.approx(math.log(1 + math.exp(-2)), rel=1e-6)
    assert terms.total.item() == pytest.approx(9 + 0.5 * terms.hard.item(), rel=1e-6)
    terms.total.backward()
    p = 1 / (1 + math.exp(2))  # of the first senone, whose label is the second
    expected = torch.tensor([[2 * -3 / 2 + 0.5 * p, 2 * 3 / 2 - 0.5 * p]])
    torch.testing.assert_close(logits.grad, expected)


def test_frames_without_a_label_drop_the_hard_term_alone():
    logits = torch.tensor([[0.0, 0.0], [0.0, 2 * math.log(3)]])
    terms = logit_matching_loss(logits, logits, torch.tensor([NO_LABEL, 0]), 1.0, 1.0)
    assert terms.soft.item() == 0
    assert terms.hard.item() == pytest.approx(math.log(10), rel=1e-6)
    none = logit_matching_loss(logits, logits, torch.tensor([NO_LABEL, NO_LABEL]), 1.0, 1.0)
    assert none.total.item() == 0


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(AsrKdError, match="do not fit each other"):
        logit_matching_loss(torch.zeros(2, 3), torch.zeros(2, 4), torch.zeros(2))


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_one_teachers_logits_come_back_from_dense_shards(tmp_path, temperature):
    logits = random_logits(1)
    expected = logits[0] - logits[0].mean(1, keepdim=True)
    got = read_logits(shard_set(tmp_path, logits, temperature))
    # Some posteriors are below 1e-8 at T = 1, where a float16 probability would be 0 and its log infinite.
    assert logits.softmax(-1).min() < 1e-8
    torch.testing.assert_close(got, expected, rtol=2e-3, atol=0.03)


def test_a_geometric_mean_gives_the_mean_of_the_logits(tmp_path):
    logits = random_logits(3, scale=3.0)
    mean = logits.mean(0)
    got = read_logits(shard_set(tmp_path, logits, 2.0, "geometric"))
    torch.testing.assert_close(got, mean - mean.mean(1, keepdim=True), rtol=2e-3, atol=0.03)


def test_codes_and_averages_without_logits_are_refused_with_the_reason(tmp_path):
    one, two = random_logits(1), random_logits(2)
    kept = shard_set(tmp_path / "kept", one, code=TopK(k=3))
    with pytest.raises(ShardError, match=r"logits cannot be had: the code topk .*write .* code dense"):
        ShardBatchSource(kept, ["train"], 100, WINDOW, as_logits=True)
    averaged = shard_set(tmp_path / "averaged", two)
    with pytest.raises(ShardError, match=r"arithmetic mean of 2 teachers' posteriors .*geometric"):
        ShardBatchSource(averaged, ["train"], 100, WINDOW, as_logits=True)


def test_zero_mean_logits_give_back_the_posteriors():
    log_q = random_logits(1)[0].div(3).log_softmax(1)
    v = teacher_logits(log_q, 3.0)
    torch.testing.assert_close(v.mean(1), torch.zeros(20), rtol=0, atol=1e-5)
    torch.testing.assert_close((v / 3).log_softmax(1), log_q)


def test_a_temperature_means_nothing_to_logit_matching():
    with pytest.raises(ValidationError, match="leave out temperature and teachers"):
        StudentConfig(loss="logit_matching", temperature=4.0)
