"""Nets that are trained together become those that are trained one by one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from asr_kd.am.dnn import Dnn, DnnConfig, can_join
from asr_kd.data.windows import Batch, ContextWindow
from asr_kd.errors import ModelError
from asr_kd.train.config import TrainConfig
from asr_kd.train.loop import FitResult, Trainer, cross_entropy
from asr_kd.train.together import fit_together
from asr_kd.train.window_masks import WindowMasks
from tests.support.memory_source import MemorySource
from tests.support.training_run import Killed

WINDOW = ContextWindow(1, 1)
CONFIG = TrainConfig(epochs=2, batch_size=64, learning_rate=0.003, precision="fp32", device="cpu")
DENSE = DnnConfig(hidden_layers=2, units=16, dropout=0.2)
DROPPING = DnnConfig(hidden_layers=2, units=16, dropout=0.2, input_dropout=0.1)
LAYERED = DnnConfig(hidden_layers=2, units=16, dropout=0.2, input_dropout=0.1, normalisation="layer")
SEEDS = (5, 6, 7)


def _source(seed: int, order: int = 0, batch_size: int = 64, num_frames: int = 500) -> MemorySource:
    features = torch.randn(num_frames, 3, generator=torch.Generator().manual_seed(seed))
    pdf_ids = (features[:, 0] > 0).to(torch.int32) + 2 * (features[:, 1] > 0.3).to(torch.int32)
    halves = features.chunk(2), pdf_ids.chunk(2)
    return MemorySource(halves[0], {"pdf_ids": halves[1]}, batch_size, WINDOW, seed=order)


def _trainers(folder: Path, net: DnnConfig, configs: list[TrainConfig]) -> list[Trainer]:
    trainers = []
    for seed, config in zip(SEEDS, configs, strict=True):
        torch.manual_seed(seed)
        trainers.append(
            Trainer(
                Dnn(3, WINDOW.width, 4, net),
                _source(1, seed),
                _source(2),
                cross_entropy,
                config,
                folder / str(seed),
                seed,
                f"net-{seed}",
            )
        )
    return trainers


def _assert_alike(
    alone: list[FitResult], together: list[FitResult], nets: list[nn.Module], joint: list[nn.Module]
) -> None:
    for a, b in zip(alone, together, strict=True):
        assert len(a.epochs) == len(b.epochs)
        assert [row.means["loss"] for row in b.epochs] == pytest.approx(
            [row.means["loss"] for row in a.epochs], rel=1e-5
        )
        assert [row.means["gradient_norm"] for row in b.epochs] == pytest.approx(
            [row.means["gradient_norm"] for row in a.epochs], rel=1e-4
        )
        assert b.dev_accuracy == pytest.approx(a.dev_accuracy, abs=0.003)
    for net, other in zip(nets, joint, strict=True):
        for a, b in zip(net.parameters(), other.parameters(), strict=True):
            assert torch.allclose(a, b, atol=1e-4)


@pytest.mark.parametrize("net", [DENSE, DROPPING, LAYERED], ids=["dense", "input dropout", "layered"])
@pytest.mark.parametrize("epochs", [(2, 2, 2), (3, 1, 2)], ids=["alike", "one ends before the others"])
def test_results_are_those_of_training_one_by_one(
    tmp_path: Path, net: DnnConfig, epochs: tuple[int, ...]
) -> None:
    configs = [CONFIG.model_copy(update={"epochs": number}) for number in epochs]
    one_by_one = _trainers(tmp_path / "alone", net, configs)
    alone = [trainer.run() for trainer in one_by_one]
    joined = _trainers(tmp_path / "together", net, configs)
    assert can_join([trainer.net for trainer in joined])
    together = fit_together(joined)
    _assert_alike(alone, together, [each.net for each in one_by_one], [each.net for each in joined])
    # Three nets and not one thrice.
    assert len({result.epochs[0].means["loss"] for result in together}) == len(SEEDS)


def test_masks_are_those_of_training_one_by_one(tmp_path: Path) -> None:
    configs = [CONFIG.model_copy(update={"masks": WindowMasks(max_time_width=2, max_freq_width=2)})] * 3
    one_by_one = _trainers(tmp_path / "alone", DROPPING, configs)
    alone = [trainer.run() for trainer in one_by_one]
    joined = _trainers(tmp_path / "together", DROPPING, configs)
    together = fit_together(joined)
    _assert_alike(alone, together, [each.net for each in one_by_one], [each.net for each in joined])


def test_bfloat16_gives_the_losses_of_one_by_one(tmp_path: Path) -> None:
    configs = [CONFIG.model_copy(update={"precision": "bf16"})] * 3
    alone = [trainer.run() for trainer in _trainers(tmp_path / "alone", DENSE, configs)]
    together = fit_together(_trainers(tmp_path / "together", DENSE, configs))
    for a, b in zip(alone, together, strict=True):
        assert b.epochs[-1].means["loss"] == pytest.approx(a.epochs[-1].means["loss"], rel=0.02)


def test_begun_together_a_run_goes_on_alone(tmp_path: Path) -> None:
    configs = [CONFIG.model_copy(update={"checkpoint_seconds": 0})] * 3
    one_by_one = _trainers(tmp_path / "alone", DENSE, configs)
    alone = [trainer.run() for trainer in one_by_one]
    broken = _trainers(tmp_path / "broken", DENSE, configs)
    broken[1].loss = _dying(11)
    with pytest.raises(Killed):
        fit_together(broken)
    resumed = _trainers(tmp_path / "broken", DENSE, configs)
    results = [trainer.run() for trainer in resumed]
    _assert_alike(alone, results, [each.net for each in one_by_one], [each.net for each in resumed])


def _dying(calls: int) -> object:
    left = calls

    def loss(logits: Tensor, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        nonlocal left
        left -= 1
        if left < 0:
            raise Killed
        return cross_entropy(logits, batch)

    return loss


def test_a_net_that_diverges_is_named(tmp_path: Path) -> None:
    trainers = _trainers(tmp_path, DENSE, [CONFIG] * 3)
    nn.init.constant_(next(trainers[2].net.parameters()), torch.nan)
    with pytest.raises(ModelError, match=r"^net-7: the loss is not finite in epoch 1"):
        fit_together(trainers)


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ([Dnn(3, 2, 4, DENSE)], True),
        ([Dnn(3, 2, 4, LAYERED)], False),
        ([Dnn(3, 2, 5, DENSE)], False),
        ([nn.Linear(6, 4)], False),
    ],
    ids=["alike", "other layers", "other classes", "a user's own"],
)
def test_only_nets_of_one_shape_join(others: list[nn.Module], expected: bool) -> None:
    assert can_join([Dnn(3, 2, 4, DENSE), *others]) is expected
