from __future__ import annotations

import pytest
import torch

from asr_kd.am.dropout import Dropout


@pytest.mark.parametrize("p", [0.0, 0.1, 0.2, 0.5, 0.75])
def test_share_of_zeros_and_mean(p: float) -> None:
    torch.manual_seed(1)
    dropped = Dropout(p)(torch.ones(1000, 1000))
    share = round(p * 256) / 256
    # The sd of the share over 10^6 draws is at most 0.0005.
    assert (dropped == 0).float().mean().item() == pytest.approx(share, abs=0.0025)
    assert dropped.mean().item() == pytest.approx(1.0, abs=0.01)
    assert dropped.max().item() == pytest.approx(1 / (1 - share))
    assert ((dropped == 0) | (dropped == dropped.max())).all()


def test_every_column_is_dropped_alike() -> None:
    # Eight columns share one random number: none of its bytes may have fewer random bits than the others.
    torch.manual_seed(2)
    shares = (Dropout(0.5)(torch.ones(200_000, 8)) == 0).float().mean(0)
    assert torch.allclose(shares, torch.full((8,), 0.5), atol=0.006)
    low = (Dropout(0.02)(torch.ones(200_000, 8)) == 0).float().mean(0)
    assert torch.allclose(low, torch.full((8,), 5 / 256), atol=0.002)


def test_gradient_passes_where_the_value_passed() -> None:
    values = torch.ones(64, 64, requires_grad=True)
    dropped = Dropout(0.3)(values)
    dropped.sum().backward()
    assert values.grad is not None
    assert torch.equal(values.grad, dropped.detach())


def test_seed_fixes_the_mask_and_evaluation_has_none() -> None:
    module = Dropout(0.4)
    torch.manual_seed(5)
    first = module(torch.ones(33, 7))
    torch.manual_seed(5)
    assert torch.equal(module(torch.ones(33, 7)), first)
    values = torch.randn(3, 3)
    assert module.eval()(values) is values
