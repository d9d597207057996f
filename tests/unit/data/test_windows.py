"""Context windows."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from asr_kd.data.windows import ContextWindow, FramePool, utterance_windows
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
