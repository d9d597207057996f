"""Hard cross-entropy in one pass against torch's."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from asr_kd.train.cross_entropy import hard_cross_entropy


def test_two_classes_by_hand() -> None:
    logits = torch.tensor([[0.0, math.log(3.0)], [0.0, 0.0]], requires_grad=True)
    loss = hard_cross_entropy(logits, torch.tensor([0, 1]))
    loss.backward()
    # p = (1/4, 3/4) and (1/2, 1/2): the mean of log 4 and log 2; gradients (p - y) / 2.
    assert loss.item() == pytest.approx((math.log(4) + math.log(2)) / 2)
    assert logits.grad is not None
    assert torch.allclose(logits.grad, torch.tensor([[-0.375, 0.375], [0.25, -0.25]]))


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.bfloat16, 8e-3)])
def test_many_chunks_are_one(dtype: torch.dtype, tolerance: float) -> None:
    logits = (4 * torch.randn(301, 2000, generator=torch.Generator().manual_seed(1))).to(dtype)
    pdf_ids = torch.arange(301) * 5
    found, expected = (logits.clone().requires_grad_() for _ in range(2))
    loss = hard_cross_entropy(found, pdf_ids)
    (3 * loss).backward()
    other = nn.functional.cross_entropy(expected.float(), pdf_ids)
    (3 * other).backward()
    assert loss.item() == pytest.approx(other.item(), rel=1e-6)
    assert found.grad is not None
    assert expected.grad is not None
    assert (found.grad - expected.grad).norm() <= tolerance * expected.grad.norm()
