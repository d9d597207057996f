from __future__ import annotations

import math

import pytest
import torch

from asr_kd.distill.largest import largest

FLOOR = -1e9


def rows(num_columns):
    values = 3 * torch.randn(40, num_columns, generator=torch.Generator().manual_seed(0))
    values[3] = 1.5  # all equal
    values[4, : num_columns - 1] = -math.inf
    return values


# 40 columns are ordered as a whole; 1,000 are not a multiple of the groups' size.
@pytest.mark.parametrize("num_columns", [40, 640, 1000])
@pytest.mark.parametrize("k", [1, 7, 20])
def test_the_largest_of_each_row_with_their_columns(num_columns, k):
    values = rows(num_columns)
    top, columns = largest(values, k, FLOOR)
    assert torch.equal(top, values.topk(k, dim=1).values)
    assert torch.equal(values.gather(1, columns), top)
    finite = [set(row[row_top > FLOOR].tolist()) for row, row_top in zip(columns, top, strict=True)]
    assert [len(row) for row in finite] == (top > FLOOR).sum(1).tolist()


def test_values_below_the_floor_are_missing_but_for_the_largest():
    values = torch.full((2, 640), -9.0)
    values[0, [5, 600, 32]] = torch.tensor([3.0, 2.0, 0.5])
    values[1, 639] = -4.0
    top, columns = largest(values, 4, 1.0)
    assert top[0].tolist() == [3.0, 2.0, -math.inf, -math.inf]
    assert columns[0, :2].tolist() == [5, 600]
    assert top[1].tolist() == [-4.0, *[-math.inf] * 3]
    assert columns[1, 0] == 639


def test_no_rows():
    top, columns = largest(torch.zeros(0, 640), 4, 0.0)
    assert top.shape == columns.shape == (0, 4)
