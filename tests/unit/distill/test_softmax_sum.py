from __future__ import annotations

import pytest
import torch

from asr_kd.distill.softmax_sum import add_softmax


def logits(dtype):
    """Rows of any spread and height, more senones than a block and not a multiple of it."""
    values = torch.randn(6, 1500, generator=torch.Generator().manual_seed(0))
    values *= torch.tensor([0.0, 1.0, 5.0, 20.0, 1.0, 1.0])[:, None]
    values[4] += 3000
    values[5, 7] = 500
    return values.to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("temperature", [1.0, 2.0, 0.3])
def test_weighted_sum_of_softmax_rows(dtype, temperature):
    one, other = logits(dtype), logits(dtype).flip(1)
    before = one.clone()
    total = add_softmax(add_softmax(None, one, temperature, 0.25), other, temperature, 0.75)
    assert torch.equal(one, before)
    p, r = (torch.softmax(each.double() / temperature, 1) for each in (one, other))
    # A probability of e^-60 is as good as any smaller one.
    torch.testing.assert_close(total.double(), 0.25 * p + 0.75 * r, rtol=2e-5, atol=1e-26)


def test_rows_of_a_wider_matrix_and_numbers_of_other_types():
    wide = torch.randn(3, 100, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(add_softmax(None, wide[:, 10:30], 1.0, 1.0), wide[:, 10:30].softmax(1))
    torch.testing.assert_close(add_softmax(None, wide.double(), 1.0, 1.0), wide.softmax(1))


def test_nan_is_not_swallowed():
    values = torch.zeros(2, 1500)
    values[1, 700] = torch.nan
    total = add_softmax(None, values, 1.0, 1.0)
    assert total[0].isfinite().all()
    assert total[1].isnan().any()
