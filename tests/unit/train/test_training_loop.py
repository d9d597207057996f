from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import nn

from asr_kd.am.dnn import Dnn, DnnConfig
from asr_kd.data.windows import ContextWindow
from asr_kd.errors import ModelError
from asr_kd.train.checkpoint import LAST_FILE
from asr_kd.train.config import TrainConfig
from asr_kd.train.loop import FitResult, cross_entropy, fit
from tests.support.memory_source import MemorySource

WINDOW = ContextWindow(1, 1)
CONFIG = TrainConfig(epochs=4, batch_size=32, learning_rate=0.01, precision="fp32", device="cpu")


def _source(seed: int, batch_size: int, num_frames: int = 600) -> MemorySource:
    """Frames whose class is the sign of their first feature, in two utterances."""
    features = torch.randn(num_frames, 3, generator=torch.Generator().manual_seed(seed))
    pdf_ids = (features[:, 0] > 0).to(torch.int32)
    halves = features.chunk(2), pdf_ids.chunk(2)
    return MemorySource(halves[0], {"pdf_ids": halves[1]}, batch_size, WINDOW, seed=7)


def _net() -> nn.Module:
    torch.manual_seed(5)
    return Dnn(3, WINDOW.width, 2, DnnConfig(hidden_layers=2, units=16, dropout=0.2))


def _fit(
    folder: Path, config: TrainConfig = CONFIG, net: nn.Module | None = None
) -> tuple[nn.Module, FitResult]:
    net = net or _net()
    train, dev = _source(1, config.batch_size), _source(2, 64, 100)
    return net, fit(net, train, dev, cross_entropy, config, folder, seed=7)


def test_learns_and_reports_every_epoch(tmp_path: Path) -> None:
    _, result = _fit(tmp_path)
    assert [row.epoch for row in result.epochs] == [1, 2, 3, 4]
    assert result.dev_accuracy > 0.9
    assert result.epochs[-1].means["loss"] < result.epochs[0].means["loss"]
    assert list(tmp_path.glob("tensorboard/events*"))


def test_equal_seeds_give_equal_weights(tmp_path: Path) -> None:
    first, _ = _fit(tmp_path / "a")
    second, _ = _fit(tmp_path / "b")
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)


def test_checkpoint_of_other_settings_is_refused(tmp_path: Path) -> None:
    _fit(tmp_path)
    with pytest.raises(ModelError, match="written with other settings"):
        _fit(tmp_path, CONFIG.model_copy(update={"learning_rate": 0.02}))


def test_keeps_the_weights_of_the_best_epoch(tmp_path: Path) -> None:
    # A rate this high wrecks what the first epochs learn; the best epoch's weights must survive that.
    config = CONFIG.model_copy(update={"learning_rate": 0.3, "schedule": "constant", "epochs": 6})
    net, result = _fit(tmp_path, config)
    best = max(row.dev_accuracy for row in result.epochs)
    assert result.dev_accuracy == best
    (batch,) = _source(2, 100, 100).epoch(0)
    accuracy = (net.eval()(batch.windows).argmax(1) == batch.targets["pdf_ids"]).float().mean().item()
    assert accuracy == pytest.approx(best)


def test_patience_stops_early(tmp_path: Path) -> None:
    config = CONFIG.model_copy(
        update={"epochs": 50, "patience": 2, "learning_rate": 1e-9, "warmup_share": 0.0}
    )
    _, result = _fit(tmp_path, config)
    assert len(result.epochs) - result.best_epoch == 2


def test_loss_that_is_not_finite_is_an_error(tmp_path: Path) -> None:
    class Broken(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.tensor(math.nan))

        def forward(self, windows: torch.Tensor) -> torch.Tensor:
            return windows.flatten(1)[:, :2] * self.weight

    with pytest.raises(ModelError, match=r"net: the loss is not finite in epoch 1"):
        _fit(tmp_path, net=Broken())
    assert not (tmp_path / LAST_FILE).exists()


def test_rate_rises_linearly_and_falls_as_a_cosine() -> None:
    config = TrainConfig(learning_rate=1.0, warmup_share=0.1)
    assert config.rate(0, 100) == pytest.approx(1 / 11)
    assert config.rate(9, 100) == pytest.approx(10 / 11)
    assert config.rate(10, 100) == pytest.approx(1.0)
    assert config.rate(55, 100) == pytest.approx(0.5)
    assert config.rate(100, 100) == pytest.approx(0.0)
    assert TrainConfig(learning_rate=1.0, schedule="constant", warmup_share=0).rate(99, 100) == 1.0
