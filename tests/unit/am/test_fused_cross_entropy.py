"""The kernel against what it computes written plainly: on a GPU, or where there is none interpreted."""

from __future__ import annotations

import math

import pytest
import torch

pytest.importorskip("triton", reason="Triton is built for Linux on x86-64")

from asr_kd.am.fused_cross_entropy import (
    SparseTargets,
    replace_by_gradient,
    scale_in_place,
)
from asr_kd.am.triton_kernels import _has_compiler, runs_triton
from asr_kd.data.windows import NO_LABEL
from asr_kd.distill.loss import distillation_loss
from asr_kd.distill.targets import SoftTargets
from asr_kd.train.cross_entropy import hard_cross_entropy

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
TARGETS = ["no tail", "tail as a class", "padding", "every senone", "narrow ids"]


@pytest.fixture
def on(monkeypatch):
    """Return a function that switches the kernel on, for this device, or off."""

    def switch(is_on):
        for module in ("asr_kd.distill.loss", "asr_kd.train.cross_entropy"):
            monkeypatch.setattr(f"{module}.runs_triton", lambda device: is_on)

    return switch


def case(targets, num_senones=150, num_frames=5, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    logits = (5 * torch.randn(num_frames, num_senones, generator=generator)).to(dtype)
    labels = torch.randint(num_senones, (num_frames,), generator=generator)
    labels[::3] = NO_LABEL
    num_kept = num_senones if targets == "every senone" else 11
    q = (4 * torch.randn(num_frames, num_senones, generator=generator)).softmax(1)
    probs, ids = q.topk(num_kept)
    labels[1] = ids[1, 2]  # a label that is kept
    if targets == "padding":
        probs[2, 1:], probs[3, 4:], ids[3, 4:] = 0, 0, 0
    if targets == "narrow ids":
        probs, ids = probs.half(), ids.short()
    tail = None if targets == "no tail" else (1 - probs.float().sum(1)).clamp_min(1e-5).to(probs.dtype)
    parts = (each if each is None else each.to(DEVICE) for each in (probs, ids, tail))
    return logits.to(DEVICE), SoftTargets(*parts), labels.to(DEVICE)


def result(logits, soft, labels, temperature, weights, overwrite=False):
    leaf = logits.clone().requires_grad_()
    terms = distillation_loss(leaf * 1, soft, labels, temperature, *weights, overwrite_logits=overwrite)
    (3 * terms.total).backward()
    return terms, leaf.grad


def test_one_row_by_hand():
    # The student gives 1/8, 1/8, 1/4, 1/2; senone 3 is kept with 0.7, so the tail has 0.3 against its 1/2.
    logits = torch.tensor([[0.0, 0.0, math.log(2), math.log(4)]], device=DEVICE)
    soft = SparseTargets(
        torch.tensor([[0.7]], device=DEVICE),
        torch.tensor([[3]], device=DEVICE),
        torch.tensor([0.3], device=DEVICE),
    )
    one = torch.ones((), device=DEVICE)
    losses = replace_by_gradient(logits, torch.tensor([2], device=DEVICE), soft, 1.0, one, 10 * one)
    assert losses.soft.item() == pytest.approx(math.log(2), rel=1e-6)
    assert losses.hard.item() == pytest.approx(math.log(4), rel=1e-6)
    # Soft: 1/2 - 0.7 for the kept one; the tail's 1/2 - 0.3 in proportion 1 : 1 : 2. Hard: p - y, ten times.
    expected = [0.05 + 1.25, 0.05 + 1.25, 0.1 + 2.5 - 10, -0.2 + 5]
    torch.testing.assert_close(logits.cpu(), torch.tensor([expected]))


@pytest.mark.parametrize(("temperature", "block"), [(1.0, 64), (4.0, 4096)])
@pytest.mark.parametrize("targets", TARGETS)
def test_losses_and_gradient_are_those_of_the_plain_loss(targets, temperature, block, on, monkeypatch):
    monkeypatch.setattr("asr_kd.am.fused_cross_entropy._LONGEST_BLOCK", block)
    logits, soft, labels = case(targets)
    of_frames = torch.tensor([0.5, 0.0, 1.0, 2.0, 0.3], device=DEVICE)
    for weights in ((0.7, 0.5), (1.0, 0.0), (0.0, 1.0), (of_frames, 0.5), (1.0, of_frames.flip(0))):
        on(False)
        expected, expected_gradient = result(logits, soft, labels, temperature, weights)
        for overwrite in (False, True):
            on(True)
            terms, gradient = result(logits, soft, labels, temperature, weights, overwrite)
            torch.testing.assert_close(terms.total, expected.total)
            torch.testing.assert_close(terms.soft, expected.soft)
            torch.testing.assert_close(terms.hard, expected.hard)
            torch.testing.assert_close(gradient, expected_gradient, rtol=1e-4, atol=1e-7)


def test_bfloat16_logits_are_summed_in_float32(on):
    logits, soft, labels = case("tail as a class", num_senones=2000, dtype=torch.bfloat16)
    on(False)
    expected, expected_gradient = result(logits.float(), soft, labels, 2.0, (1.0, 0.5))
    on(True)
    terms, gradient = result(logits, soft, labels, 2.0, (1.0, 0.5))
    torch.testing.assert_close(terms.total, expected.total)
    assert gradient.dtype == torch.bfloat16
    assert (gradient.float() - expected_gradient).norm() <= 8e-3 * expected_gradient.norm()


def test_the_tail_is_exact_where_the_student_leaves_it_nothing(on):
    on(True)
    logits = torch.tensor([[90.0, 0.0, 0.0]], device=DEVICE, requires_grad=True)
    parts = torch.tensor([[0.9]]), torch.tensor([[0]]), torch.tensor([0.1])
    soft = SoftTargets(*parts).to(DEVICE)
    terms = distillation_loss(logits, soft, torch.tensor([NO_LABEL], device=DEVICE), 1.0)
    assert terms.soft.item() == pytest.approx(0.1 * (90 - math.log(2)), rel=1e-5)
    terms.total.backward()
    torch.testing.assert_close(logits.grad.cpu(), torch.tensor([[0.1, -0.05, -0.05]]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_hard_labels_alone(dtype, on):
    logits, _, labels = case("no soft targets", num_senones=1500, dtype=dtype)
    labels = labels.clamp_min(0)
    results = []
    for is_on in (False, True):
        on(is_on)
        leaf = logits.clone().requires_grad_()
        loss = hard_cross_entropy(leaf, labels)
        (2 * loss).backward()
        results.append((loss, leaf.grad))
    torch.testing.assert_close(*results)


@pytest.mark.parametrize("scale", [1.0, -2.5, float("nan")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_gradient_is_scaled_in_place(scale, dtype):
    values = torch.randn(7, 3000, generator=torch.Generator().manual_seed(0)).to(DEVICE, dtype)
    values[0, 0] = torch.inf
    expected = values * torch.tensor(scale, device=DEVICE)
    scale_in_place(values, torch.tensor(scale, device=DEVICE))
    torch.testing.assert_close(values, expected, equal_nan=True)


def test_it_is_for_gpus_of_machines_with_a_c_compiler(monkeypatch):
    monkeypatch.delenv("CC", raising=False)
    compilers = {"clang": "/usr/bin/clang"}
    monkeypatch.setattr("shutil.which", compilers.get)
    _has_compiler.cache_clear()
    assert runs_triton(torch.device("cuda"))
    assert not runs_triton(torch.device("cpu"))
    compilers.clear()
    _has_compiler.cache_clear()
    assert not runs_triton(torch.device("cuda"))
    monkeypatch.undo()
    _has_compiler.cache_clear()
