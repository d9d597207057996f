"""What Hinton, Vinyals & Dean 2015 say of the tempered softmax, checked by numbers."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from asr_kd.data.windows import NO_LABEL
from asr_kd.distill.ensemble import tempered_log_posteriors
from asr_kd.distill.logit_matching import logit_matching_loss
from asr_kd.distill.loss import distillation_loss
from asr_kd.distill.targets import SoftTargets

UNLABELLED = torch.full((6,), NO_LABEL)


def entropy(p):
    return -(p * p.log()).sum(-1)


def random_logits(num_frames=6, num_senones=12, seed=5):
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(num_frames, num_senones, generator=generator, dtype=torch.float64)
    return logits - logits.mean(1, keepdim=True)


def soft_gradient(student, teacher, temperature):
    """Gradient of ``CE(q_T, p_T)`` of one frame, without weight and T^2, averaged over frames times 6."""
    z = student.float().requires_grad_()
    q = tempered_log_posteriors(teacher, temperature).exp()
    terms = distillation_loss(z, SoftTargets(q), UNLABELLED, temperature)
    (gradient,) = torch.autograd.grad(terms.total, z)
    return len(z) * gradient / temperature**2


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0, 20.0])
def test_tempered_softmax_has_the_greatest_entropy_at_its_mean_energy(temperature):
    # Energy E_i = -logit_i. Any other distribution with the same mean energy is p + d with sum d = 0 and
    # sum d_i E_i = 0; from random directions the part along (1, E) is taken out by least squares.
    logits = random_logits(1)[0]
    p = tempered_log_posteriors(logits, temperature).exp().double()
    p = p / p.sum()
    constraints = torch.stack([torch.ones_like(logits), logits], dim=1)  # [S, 2]
    generator = torch.Generator().manual_seed(1)
    directions = torch.randn(200, len(logits), generator=generator, dtype=torch.float64)
    directions -= (constraints @ torch.linalg.lstsq(constraints, directions.T).solution).T
    # As far as half of the way to where the first probability would be 0.
    room = (p / directions.abs()).amin(1, keepdim=True)
    for share in (0.01, 0.1, 0.5):
        others = p + share * room * directions
        torch.testing.assert_close(others @ logits, (p @ logits).expand(200), rtol=0, atol=1e-9)
        assert (entropy(others) < entropy(p)).all()


def test_free_energy_is_least_at_its_own_temperature():
    # The free energy <E> - T H is smallest at the softmax with that T (Gibbs).
    logits = random_logits(1)[0]
    tempered = {t: tempered_log_posteriors(logits, t).exp().double() for t in (0.5, 1.0, 2.0, 4.0, 8.0)}
    for temperature in tempered:
        free = {t: float(-(q @ logits) - temperature * entropy(q)) for t, q in tempered.items()}
        assert min(free, key=free.__getitem__) == temperature
    energies = [float(-(tempered[t] @ logits)) for t in sorted(tempered)]
    assert energies == sorted(energies)


def test_gradients_approach_logit_matching_as_the_temperature_rises():
    # dC/dz_i = (z_i - v_i) / (N T^2) for zero-mean logits; what is left out is of the order 1 / T.
    z, v = random_logits(seed=5), random_logits(seed=6)
    limit = (z - v) / z.shape[1]
    errors = []
    for temperature in (10.0, 20.0, 40.0, 80.0):
        gradient = temperature**2 * soft_gradient(z, v, temperature).double()
        errors.append(float((gradient - limit).norm() / limit.norm()))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.02
    for before, after in pairwise(errors):
        assert after / before == pytest.approx(0.5, abs=0.12)


def test_logit_matching_has_just_that_gradient():
    z, v = random_logits(seed=5).float().requires_grad_(), random_logits(seed=6).float()
    logit_matching_loss(z + 3.0, v - 7.0, UNLABELLED).total.backward()  # constants do not matter
    torch.testing.assert_close(len(z) * z.grad, (z.detach() - v) / z.shape[1], rtol=1e-4, atol=1e-5)


def test_zero_mean_is_needed_for_the_limit():
    # With logits of another mean the softmax takes the mean off; squared error of the raw logits does not.
    z, v = random_logits(seed=5), random_logits(seed=6)
    gradient = 80.0**2 * soft_gradient(z + 3.0, v, 80.0).double()
    limit = (z - v) / z.shape[1]
    raw = (z + 3.0 - v) / z.shape[1]
    assert (gradient - limit).norm() < 0.05 * (gradient - raw).norm()


def test_soft_gradients_scale_as_one_over_t_squared():
    z, v = random_logits(seed=5), random_logits(seed=6)
    sizes = {t: float(soft_gradient(z, v, t).norm()) for t in (20.0, 40.0, 80.0, 160.0)}
    for temperature in (20.0, 40.0, 80.0):
        assert sizes[temperature] / sizes[2 * temperature] == pytest.approx(4.0, rel=0.06)
    # So the product with T^2 stays within a factor of 2 over all temperatures that are used.
    scaled = [t**2 * float(soft_gradient(z, v, t).norm()) for t in (1.0, 2.0, 5.0, 10.0, 20.0, 100.0)]
    assert max(scaled) < 2 * min(scaled)
