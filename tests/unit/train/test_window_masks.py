"""Masks over the windows of a training step."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from asr_kd.data.windows import Batch
from asr_kd.train.config import TrainConfig
from asr_kd.train.loop import Trainer, cross_entropy
from asr_kd.train.window_masks import WindowMasks, mask_windows
from tests.support.training_run import NUM_SENONES, net, source


def _kept(masks: WindowMasks, shape: tuple[int, int, int] = (4000, 26, 40)) -> Tensor:
    """Return which values of windows of ones are kept ``[B, W, D]``."""
    torch.manual_seed(1)
    masked = mask_windows(torch.ones(shape), masks)
    assert set(masked.unique().tolist()) <= {0.0, 1.0}
    return masked.bool()


def _runs(masked: Tensor) -> Tensor:
    """Return how many runs of masked places each row ``[B, N]`` has."""
    before = torch.nn.functional.pad(masked, (1, 0))[:, :-1]
    return (masked & ~before).sum(1)


def test_a_mask_is_one_run_of_frames_and_one_of_values() -> None:
    kept = _kept(WindowMasks(probability=0.5, max_time_width=8, max_freq_width=5))
    frames, bands = ~kept.any(2), ~kept.any(1)
    assert torch.equal(kept, ~frames[:, :, None] & ~bands[:, None, :])
    for masked, widest in ((frames, 8), (bands, 5)):
        assert _runs(masked).max() == 1
        widths = masked.sum(1)
        # Half the windows are drawn, and one width in widest + 1 of those is 0.
        shares = torch.bincount(widths, minlength=widest + 1) / len(widths)
        expected = torch.full((widest + 1,), 0.5 / (widest + 1))
        expected[0] += 0.5
        assert torch.allclose(shares, expected, atol=0.02)
        assert masked[:, 0].any()
        assert masked[:, -1].any()
    # The two are drawn by themselves: both in a quarter of the windows, but for widths of 0.
    both = (frames.any(1) & bands.any(1)).float().mean()
    assert both == pytest.approx(0.25 * 8 / 9 * 5 / 6, abs=0.02)


def test_a_window_is_never_masked_whole() -> None:
    kept = _kept(WindowMasks(probability=1, max_time_width=100, max_freq_width=100), (4000, 3, 4))
    assert kept.any(2).any(1).all()
    assert (~kept.any(2)).sum(1).max() == 2
    assert (~kept.any(1)).sum(1).max() == 3
    assert _kept(WindowMasks(probability=1, max_time_width=5, max_freq_width=0), (50, 1, 7)).all()


def test_windows_stay_what_they_were_and_keep_their_type() -> None:
    windows = torch.ones(64, 5, 6, dtype=torch.bfloat16)
    masked = mask_windows(windows, WindowMasks(probability=1))
    assert masked.dtype == torch.bfloat16
    assert windows.all()
    assert not masked.all()


def test_only_the_training_sees_them(tmp_path: Path) -> None:
    seen: dict[bool, set[bool]] = {True: set(), False: set()}
    model = net(0.0)
    model.register_forward_pre_hook(
        lambda module, inputs: seen[module.training].add(bool((inputs[0] == 0).any()))
    )
    config = TrainConfig(epochs=1, batch_size=48, precision="fp32", device="cpu", masks=WindowMasks())

    def loss(logits: Tensor, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        assert logits.shape == (len(batch), NUM_SENONES)
        return cross_entropy(logits, batch)[0], {}

    Trainer(model, source(1, 48), source(2, 64), loss, config, tmp_path, 3, "net").run()
    assert seen == {True: {True}, False: {False}}


def test_a_net_without_masks_is_identified_as_before() -> None:
    assert "masks" not in TrainConfig().model_dump(mode="json")
    kept = TrainConfig(masks=WindowMasks()).model_dump(mode="json")["masks"]
    assert kept == {"probability": 0.5, "max_freq_width": 12, "max_time_width": 0}


def test_a_share_outside_its_range_is_refused() -> None:
    with pytest.raises(ValidationError, match="probability"):
        WindowMasks(probability=1.5)
