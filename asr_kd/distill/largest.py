"""The largest values of rows of many columns, found without ordering the rows."""

from __future__ import annotations

import torch
from torch import Tensor

_GROUP = 16
"""Columns whose maximum stands for them in the first look at a row."""


def largest(values: Tensor, k: int, floor: float) -> tuple[Tensor, Tensor]:
    """Return the k largest values of each row and their columns; those below a floor may be missing.

    The k-th largest of the maxima of groups of columns is no larger than the k-th largest value, so only
    groups whose maximum reaches it, or the floor where that is higher, are looked into.

    Args:
        values: ``[T, S]``.
        k: At most S.
        floor: Values below it need not be found, but the largest of a row always is.

    Returns:
        ``[T, k]`` values, falling, -inf for what is missing, and ``[T, k]`` columns, 0 for what is missing.
    """
    num_rows, num_columns = values.shape
    num_groups = num_columns // _GROUP
    if num_rows == 0 or num_groups < 2 * k:
        return values.topk(k, dim=1)
    rows, columns = _candidates(values, k, floor, num_groups)
    counts = torch.bincount(rows, minlength=num_rows)
    places = torch.arange(len(rows), device=values.device) - (counts.cumsum(0) - counts)[rows]
    width = max(k, int(counts.max()))
    padded = values.new_full((num_rows, width), -torch.inf)
    padded_columns = columns.new_zeros((num_rows, width))
    padded[rows, places] = values[rows, columns]
    padded_columns[rows, places] = columns
    top, order = padded.topk(k, dim=1)
    return top, padded_columns.gather(1, order)


def _candidates(values: Tensor, k: int, floor: float, num_groups: int) -> tuple[Tensor, Tensor]:
    """Return rows, rising, and columns of all values that may be among the k largest and reach the floor."""
    num_rows, num_columns = values.shape
    grouped = num_groups * _GROUP
    # A group's columns lie num_groups apart, and a maximum over groups runs along the row. What is left over
    # at the end of the row are groups of one column.
    maxima = values[:, :grouped].view(num_rows, _GROUP, num_groups).amax(1)
    if grouped < num_columns:
        maxima = torch.cat([maxima, values[:, grouped:]], dim=1)
    best = maxima.topk(k, dim=1).values  # [T, k]
    bound = torch.minimum(best[:, -1].clamp_min(floor), best[:, 0])[:, None]
    rows, groups = (maxima >= bound).nonzero(as_tuple=True)
    members = torch.arange(_GROUP, device=values.device)
    is_whole = (groups < num_groups)[:, None]
    columns = torch.where(
        is_whole, groups[:, None] + num_groups * members, (groups + grouped - num_groups)[:, None]
    )
    wanted = (values[rows[:, None], columns] >= bound[rows]) & (is_whole | (members == 0))
    places, chosen = wanted.nonzero(as_tuple=True)
    return rows[places], columns[places, chosen]
