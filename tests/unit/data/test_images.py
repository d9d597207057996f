"""Pixel values and moved images."""

from __future__ import annotations

import pytest
import torch

from asr_kd.data.images import PixelSource, jitter, pixel_values
from asr_kd.data.windows import ContextWindow
from tests.support.memory_source import MemorySource


def source(max_shift: int = 0, seed: int = 0) -> PixelSource:
    images = torch.arange(40 * 12, dtype=torch.int64).remainder(256).to(torch.uint8).view(40, 12)
    frames = MemorySource([images], {"pdf_ids": [torch.arange(40)]}, 16, ContextWindow(0, 0))
    return PixelSource(frames, 3, 4, max_shift, seed)


def test_pixel_values_are_exact_in_half_precision() -> None:
    values = pixel_values(torch.arange(256, dtype=torch.uint8))
    assert values[0] == 0
    assert values[255] == 255 / 256
    for dtype in (torch.float16, torch.bfloat16):
        assert torch.equal(values.to(dtype).float(), values)


def test_every_shift_is_drawn_and_what_leaves_is_lost() -> None:
    image = torch.zeros(3, 4)
    image[1, 1] = 1.0
    moved = jitter(image.view(1, 12).repeat(900, 1), (3, 4), 1, torch.Generator().manual_seed(1)).view(
        -1, 3, 4
    )
    assert moved.sum((1, 2)).eq(1).all()
    # The dot at row 1, column 1 goes to rows 0 to 2 and columns 0 to 2, each of nine about 100 times.
    counts = moved.sum(0)
    assert counts[:, 3].sum() == 0
    assert counts[:, :3].min() > 60
    corner = torch.zeros(1, 12)
    corner[0, 11] = 1.0
    lost = jitter(corner.repeat(900, 1), (3, 4), 1, torch.Generator().manual_seed(1)).sum(1)
    # Moved down or right, 5 of 9, it leaves the image.
    assert float((lost == 0).float().mean()) == pytest.approx(5 / 9, abs=0.06)


def test_shifts_depend_on_seed_epoch_and_batch_alone() -> None:
    whole = [batch.windows for batch in source(2, seed=3).epoch(1)]
    later = [batch.windows for batch in source(2, seed=3).epoch(1, first_batch=1)]
    assert len(whole) == source().batches_per_epoch == 3
    assert all(torch.equal(a, b) for a, b in zip(whole[1:], later, strict=True))
    other = [batch.windows for batch in source(2, seed=4).epoch(1)]
    assert not any(torch.equal(a, b) for a, b in zip(whole, other, strict=True))


def test_without_shifts_images_stay_as_they_are() -> None:
    seen = {}
    for batch in source().epoch(0):
        assert batch.windows.shape[1:] == (1, 12)
        seen.update(zip(batch.targets["pdf_ids"].tolist(), batch.windows[:, 0], strict=True))
    assert sorted(seen) == list(range(40))
    assert torch.equal(seen[1] * 256, torch.arange(12, 24).float())
