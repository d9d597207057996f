"""The sampled code's expectation is the dense row, and its variance is the stated one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from asr_kd.data.windows import NO_LABEL
from asr_kd.distill.loss import distillation_loss
from asr_kd.distill.quantise import LogGrid
from asr_kd.distill.sampled_code import Sampled, SampledCode, inclusion, systematic_draws
from asr_kd.distill.targets import SoftTargets, dense_posteriors

NUM_DRAWS = 20_000


def rows():
    """Log posteriors of five kinds: peaked, smooth, flat, with ties, and certain."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(2, 30, generator=generator)
    ties = torch.tensor([3.0] * 4 + [0.0] * 26)
    certain = torch.tensor([0.0] + [-100.0] * 29)
    return torch.stack([4 * noise[0], noise[1], torch.zeros(30), ties, certain]).log_softmax(1)


@pytest.fixture(scope="module")
def draws():
    """Decoded rows of many draws ``[draws, 5, 30]``, in float64."""
    code = SampledCode(Sampled(k=6, steps=4), 30)
    log_q = rows().repeat(NUM_DRAWS, 1)  # the draws of a frame depend on its place in the utterance
    soft = code.decode(code.encode(log_q, "utt-1"), len(log_q))
    return dense_posteriors(soft, 30).reshape(NUM_DRAWS, 5, 30).double()


def test_the_expectation_is_the_dense_row(draws):
    q = rows().double().exp()
    variance = SampledCode(Sampled(k=6, steps=4), 30).variance(rows())
    z = (draws.mean(0) - q) / (variance / NUM_DRAWS).sqrt().clamp_min(1e-9)
    # 150 normal scores: all below 4.5 but for a chance of 1e-3, and of unit size on average.
    assert z.abs().max() < 4.5
    seen = variance > 1e-12
    assert 0.7 < z[seen].square().mean() < 1.4


def test_the_variance_is_the_stated_one(draws):
    stated = SampledCode(Sampled(k=6, steps=4), 30).variance(rows())
    seen = stated > 1e-6
    ratio = draws.var(0)[seen] / stated[seen]
    assert ratio.mean() == pytest.approx(1, abs=0.05)
    assert ratio.min() > 0.6
    assert ratio.max() < 1.6


def test_plain_topk_would_fail_the_same_test(draws):
    q = rows().double().exp()
    top = q.topk(6, dim=1)
    biased = torch.zeros_like(q).scatter_(1, top.indices, top.values / top.values.sum(1, keepdim=True))
    variance = SampledCode(Sampled(k=6, steps=4), 30).variance(rows())
    z = (biased - q) / (variance / NUM_DRAWS).sqrt().clamp_min(1e-9)
    assert z[:4].abs().max(1).values.min() > 10


def test_gradients_are_unbiased(draws):
    logits = torch.randn(5, 30, generator=torch.Generator().manual_seed(1))

    def gradients(probs):
        """Return the gradient of each row's own loss."""
        rows = logits.repeat(len(probs) // 5, 1).requires_grad_()
        terms = distillation_loss(rows, SoftTargets(probs.float()), torch.full((len(rows),), NO_LABEL), 2.0)
        return len(rows) * torch.autograd.grad(terms.total, rows)[0].double()

    drawn = gradients(draws.reshape(-1, 30)).reshape(NUM_DRAWS, 5, 30)
    error = (drawn.mean(0) - gradients(rows().double().exp())).abs()
    assert (error <= 4.5 * drawn.std(0) / NUM_DRAWS**0.5 + 1e-5).all()


def test_exactly_k_are_kept():
    code = SampledCode(Sampled(k=6), 30)
    for draw in range(20):
        soft = code.decode(code.encode(rows()[:4], f"{draw}"), 4)
        assert (soft.probs > 0).sum(1).tolist() == [6] * 4


def test_thresholds_by_hand():
    # k = 3: 0.6 is kept; the rest, 0.4, has two draws, so t = 0.2 and chances of 0.15 / 0.2 and so on.
    q = torch.tensor([[0.6, 0.15, 0.15, 0.06, 0.04]], dtype=torch.float64)
    threshold, chances = inclusion(q, 3)
    assert threshold.tolist() == pytest.approx([0.2])
    assert chances[0].tolist() == pytest.approx([1, 0.75, 0.75, 0.3, 0.2])
    # All of them: nothing is left to chance.
    assert inclusion(q, 5)[1][0].tolist() == pytest.approx([1] * 5)
    # One: it is drawn in proportion, as plain sampling.
    assert inclusion(q, 1)[1][0].tolist() == pytest.approx(q[0].tolist())


def test_systematic_draws_have_their_chances_and_number():
    chances = torch.tensor([[1.0, 0.75, 0.75, 0.3, 0.2]], dtype=torch.float64)
    uniform = torch.linspace(0, 1, 10_001, dtype=torch.float64)[:-1]
    drawn = systematic_draws(chances.expand(10_000, 5), uniform)
    assert (drawn.sum(1) == 3).all()
    torch.testing.assert_close(drawn.double().mean(0), chances[0], atol=2e-4, rtol=0)


def test_rounding_to_a_grid_is_unbiased():
    grid = LogGrid(2)
    probs = torch.tensor([0.9, 0.3, 0.001, grid.least / 3, 0.0], dtype=torch.float64)
    uniform = torch.from_numpy(np.random.default_rng(0).random((200_000, 5)))
    codes = grid.unbiased(probs.expand(200_000, 5), uniform)
    levels = torch.cat([grid.levels().double(), torch.zeros(1, dtype=torch.float64)])[codes.long()]
    error = (levels.mean(0) - probs).abs()
    assert (error <= 5 * (grid.variance(probs) / 200_000).sqrt()).all()
    torch.testing.assert_close(levels.var(0), grid.variance(probs), rtol=0.03, atol=1e-12)


def test_the_key_and_the_seed_fix_the_draws():
    log_q = rows()
    code = SampledCode(Sampled(k=6), 30)
    assert code.encode(log_q, "a") == code.encode(log_q, "a")
    assert code.encode(log_q, "a") != code.encode(log_q, "b")
    assert code.encode(log_q, "a") != SampledCode(Sampled(k=6, seed=1), 30).encode(log_q, "a")
