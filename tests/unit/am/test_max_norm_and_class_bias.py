"""The max-norm constraint, and biases for classes whose frequency is known."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from asr_kd.am.class_bias import add_bias, bias_for_share
from asr_kd.am.dnn import Dnn, DnnConfig
from asr_kd.am.max_norm import limit_weight_norms
from asr_kd.data.windows import ContextWindow
from asr_kd.errors import AsrKdError
from asr_kd.train.config import TrainConfig
from asr_kd.train.loop import cross_entropy, fit
from tests.support.memory_source import MemorySource


def test_long_weight_vectors_are_scaled_and_short_ones_left() -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.LayerNorm(3))
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0]]))
        net[0].bias.fill_(9.0)
        net[2].weight.fill_(9.0)
    limit_weight_norms(net, 2.0)
    torch.testing.assert_close(net[0].weight, torch.tensor([[1.2, 1.6], [0.3, 0.4], [0.0, 0.0]]))
    assert net[0].bias.eq(9).all()
    assert net[2].weight.eq(9).all()


@pytest.mark.parametrize("limit", [0.0, 0.5])
def test_training_keeps_the_constraint(tmp_path, limit) -> None:
    features = torch.randn(200, 3, generator=torch.Generator().manual_seed(1))
    pdf_ids = (features[:, 0] > 0).int()
    torch.manual_seed(1)
    net = Dnn(3, 1, 2, DnnConfig(hidden_layers=2, units=8))
    config = TrainConfig(epochs=3, batch_size=20, learning_rate=0.1, max_weight_norm=limit, device="cpu")
    config = config.model_copy(update={"early_stopping": False})
    source = MemorySource([features], {"pdf_ids": [pdf_ids]}, 20, ContextWindow(0, 0))
    fit(net, source, source, cross_entropy, config, tmp_path, seed=1)
    longest = max(m.weight.norm(dim=1).max().item() for m in net.modules() if isinstance(m, nn.Linear))
    assert longest <= 0.5 + 1e-6 if limit else longest > 1


def test_bias_makes_the_classes_as_frequent_as_they_are() -> None:
    # Margins of class 2 (best other logit less its own): 1, 2, 3, 4.
    logits = torch.tensor([[1.0, 0, 0], [2.0, 0, 0], [0, 3.0, 0], [4.0, 1, 0]])
    amount = bias_for_share(logits, [2], 0.5)
    assert 2 < amount < 3
    assert add_bias(logits, [2], amount).argmax(1).tolist() == [2, 2, 1, 0]
    # Two classes that take all and should have a quarter: their margins are -1, -2, -3, -4.
    lowered = bias_for_share(logits, [0, 1], 0.25)
    assert -4 < lowered < -3
    assert (add_bias(logits, [0, 1], lowered).argmax(1) != 2).sum() == 1


def test_bias_on_many_frames_meets_the_share() -> None:
    logits = torch.randn(5000, 10, generator=torch.Generator().manual_seed(4))
    for share in (0.02, 0.1, 0.6):
        chosen = add_bias(logits, [3, 7], bias_for_share(logits, [3, 7], share)).argmax(1)
        got = torch.isin(chosen, torch.tensor([3, 7])).float().mean().item()
        assert got == pytest.approx(share, abs=1e-3)


def test_a_bias_of_all_or_no_classes_is_refused() -> None:
    for classes, share in (([0, 1], 0.5), ([], 0.5), ([0], 0.0)):
        with pytest.raises(AsrKdError, match="a bias is moved for some of the classes"):
            bias_for_share(torch.zeros(4, 2), classes, share)
