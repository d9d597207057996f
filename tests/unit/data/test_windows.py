"""Context windows and seeded batches."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from asr_kd.data.windows import ContextWindow, FramePool, PoolSource, epoch_seed, utterance_windows
from asr_kd.errors import AsrKdError


def _column(*values: float) -> Tensor:
    return torch.tensor(values)[:, None]


def _pool(window: ContextWindow) -> FramePool:
    """Utterances of frames 10 11 12 and 20 and 30 31; a frame's pdf_id is its number in the pool."""
    features = [_column(10, 11, 12), _column(20), _column(30, 31)]
    pdf_ids = [torch.tensor([0, 1, 2]), torch.tensor([3]), torch.tensor([4, 5])]
    return FramePool(features, {"pdf_ids": pdf_ids}, window)


def test_the_window_of_the_paper_has_26_frames_and_the_21st_is_predicted() -> None:
    window = ContextWindow()
    assert (window.width, window.left + 1) == (26, 21)


@pytest.mark.parametrize(("left", "right"), [(-1, 0), (0, -1)])
def test_a_negative_context_is_refused(left: int, right: int) -> None:
    with pytest.raises(AsrKdError, match="at least 0"):
        ContextWindow(left, right)


def test_windows_repeat_the_edge_frame_and_never_cross_utterances() -> None:
    batch = _pool(ContextWindow(left=2, right=1)).gather(torch.arange(6))
    assert batch.windows.shape == (6, 4, 1)
    assert batch.windows[:, :, 0].tolist() == [
        [10, 10, 10, 11],
        [10, 10, 11, 12],
        [10, 11, 12, 12],
        [20, 20, 20, 20],
        [30, 30, 30, 31],
        [30, 30, 31, 31],
    ]


def test_frames_are_gathered_in_the_order_asked_for_with_their_targets() -> None:
    batch = _pool(ContextWindow(0, 0)).gather(torch.tensor([5, 0, 3]))
    assert batch.windows[:, 0, 0].tolist() == [31, 10, 20]
    assert batch.targets["pdf_ids"].tolist() == [5, 0, 3]
    assert len(batch) == 3


def test_wide_frames_keep_their_values_apart() -> None:
    features = torch.arange(12.0).reshape(4, 3)
    windows = FramePool([features], {}, ContextWindow(1, 0)).gather(torch.tensor([2])).windows
    assert windows.tolist() == [[[3, 4, 5], [6, 7, 8]]]


def test_an_utterance_without_frames_takes_no_place_in_a_pool() -> None:
    pool = FramePool([_column(1), torch.empty(0, 1), _column(2)], {}, ContextWindow(1, 1))
    assert pool.gather(torch.arange(2)).windows[:, :, 0].tolist() == [[1, 1, 1], [2, 2, 2]]


def test_targets_of_another_length_are_refused() -> None:
    with pytest.raises(AsrKdError, match="pdf_ids and features differ"):
        FramePool([_column(1, 2), _column(3)], {"pdf_ids": [torch.zeros(1), torch.zeros(2)]}, ContextWindow())


@pytest.mark.parametrize("num_frames", [1, 3, 40])
def test_windows_of_one_utterance_are_those_of_a_pool(num_frames: int) -> None:
    features = torch.randn(num_frames, 2, generator=torch.Generator().manual_seed(0))
    pool = FramePool([features], {}, ContextWindow())
    expected = pool.gather(torch.arange(num_frames)).windows
    assert torch.equal(utterance_windows(features, ContextWindow()), expected)


def _flat_ids(source: PoolSource, epoch: int) -> list[int]:
    return [pdf_id for batch in _ids(source, epoch) for pdf_id in batch]


def _ids(source: PoolSource, epoch: int, first_batch: int = 0) -> list[list[int]]:
    return [batch.targets["pdf_ids"].tolist() for batch in source.epoch(epoch, first_batch)]


def test_an_epoch_in_stored_order_with_and_without_the_last_batch() -> None:
    pool = _pool(ContextWindow(0, 0))
    whole = PoolSource(pool, batch_size=4, shuffle=False, keep_last=True)
    assert (_ids(whole, 0), whole.batches_per_epoch) == ([[0, 1, 2, 3], [4, 5]], 2)
    cut = PoolSource(pool, batch_size=4, shuffle=False)
    assert (_ids(cut, 0), cut.batches_per_epoch) == ([[0, 1, 2, 3]], 1)


def test_a_pool_smaller_than_a_batch_gives_one_batch() -> None:
    source = PoolSource(_pool(ContextWindow(0, 0)), batch_size=100)
    assert sorted(_ids(source, 0)[0]) == list(range(6))
    assert source.batches_per_epoch == 1


def test_a_shuffled_epoch_has_every_frame_once_and_its_own_order() -> None:
    pool = FramePool([torch.zeros(97, 1)], {"pdf_ids": [torch.arange(97)]}, ContextWindow(0, 0))
    orders = []
    for seed, epoch in [(0, 0), (0, 1), (1, 0)]:
        order = _flat_ids(PoolSource(pool, 10, seed=seed, keep_last=True), epoch)
        assert sorted(order) == list(range(97))
        orders.append(order)
    assert orders[0] != orders[1]
    assert orders[0] != orders[2]
    assert orders[1] != orders[2]
    assert orders[0] == _flat_ids(PoolSource(pool, 10, keep_last=True), 0)


def test_an_epoch_resumed_at_a_batch_gives_the_rest_of_it() -> None:
    pool = FramePool([torch.zeros(50, 1)], {"pdf_ids": [torch.arange(50)]}, ContextWindow(0, 0))
    source = PoolSource(pool, batch_size=8, seed=3)
    assert _ids(source, 2, first_batch=4) == _ids(source, 2)[4:]


def test_seeds_of_epochs_differ() -> None:
    assert len({epoch_seed(seed, epoch) for seed in range(20) for epoch in range(200)}) == 4000
