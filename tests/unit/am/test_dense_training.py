"""The fast path of a net in training gives what its layers give one by one."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from asr_kd.am.dense_training import dense_logits
from asr_kd.am.dnn import Dnn, DnnConfig


def _net(dropout: float, input_dropout: float = 0.0) -> Dnn:
    torch.manual_seed(3)
    config = DnnConfig(hidden_layers=3, units=32, dropout=dropout, input_dropout=input_dropout)
    net = Dnn(6, 5, 11, config)
    for parameter in net.parameters():  # biases and a wide output, so that every term counts
        nn.init.normal_(parameter, std=0.3)
    return net


def _layers(net: Dnn) -> list[nn.Linear]:
    return [module for module in net.modules() if isinstance(module, nn.Linear)]


def _gradients(net: Dnn, logits: Tensor) -> list[Tensor]:
    net.zero_grad()
    nn.functional.cross_entropy(logits.float(), torch.arange(len(logits)) % 11).backward()
    return [parameter.grad.clone() for parameter in net.parameters()]


@pytest.mark.parametrize(("is_half", "tolerance"), [(False, 1e-5), (True, 2e-2)])
def test_logits_and_gradients_are_those_of_the_layers(is_half: bool, tolerance: float) -> None:
    net = _net(0.0).train()
    windows = torch.randn(40, 5, 6)
    with torch.autocast("cpu", torch.bfloat16, enabled=is_half):
        expected = net.output(net.hidden(windows.flatten(1)))
        logits = net(windows)
    assert logits.dtype == expected.dtype == (torch.bfloat16 if is_half else torch.float32)
    assert (logits - expected).norm() <= tolerance * expected.norm()
    for a, b in zip(_gradients(net, expected), _gradients(net, logits), strict=True):
        assert (a - b).norm() <= tolerance * a.norm()


def test_input_dropout_is_that_of_its_layer() -> None:
    net, windows = _net(0.0, input_dropout=0.25).train(), torch.randn(40, 5, 6)
    torch.manual_seed(1)
    expected = net.output(net.hidden(windows.flatten(1)))
    torch.manual_seed(1)
    assert torch.allclose(net(windows), expected, atol=1e-4)
    assert not torch.allclose(net(windows), expected, atol=0.1)  # Other values are dropped.
    net.eval()
    assert torch.allclose(net(windows), net.output(net.hidden(windows.flatten(1))))


@pytest.mark.parametrize("is_half", [False, True])
def test_dropout_drops_its_share_and_keeps_the_mean(is_half: bool) -> None:
    # One hidden layer whose units are 1 each: the logit is the mean of what is kept, scaled.
    units = 4000
    hidden, output = nn.Linear(1, units), nn.Linear(units, 1)
    with torch.no_grad():
        hidden.weight.zero_()
        hidden.bias.fill_(1.0)
        output.weight.fill_(1 / units)
        output.bias.zero_()
    torch.manual_seed(0)
    with torch.autocast("cpu", torch.bfloat16, enabled=is_half):
        logits = dense_logits(torch.zeros(50, 1, 1), [hidden, output], 0.3)
    logits.float().mean().backward()
    # 200,000 draws: the standard deviation of the share is 0.001.
    assert logits.float().mean().item() == pytest.approx(1.0, abs=0.01)
    of_output = output.weight.grad[0]  # [units], the share of frames in which a unit was kept over 0.7
    assert of_output.mean().item() == pytest.approx(1.0, abs=0.01)
    # Each unit is dropped in some of the 50 frames, and in frames of its own: sd of sqrt(0.3 / 0.7 / 50).
    assert of_output.std().item() == pytest.approx(0.0926, rel=0.1)
    # What is dropped learns nothing: each unit's gradient is that of the frames in which it was kept.
    assert torch.allclose(hidden.bias.grad * units, of_output, rtol=0.02)


def test_dropout_follows_torchs_generator() -> None:
    net, windows = _net(0.5).train(), torch.randn(8, 5, 6)
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append((net(windows), net(windows)))
    assert torch.equal(drawn[0][0], drawn[1][0])
    assert torch.equal(drawn[0][1], drawn[1][1])
    assert not torch.equal(drawn[0][0], drawn[0][1])
    assert not torch.equal(drawn[0][0], drawn[2][0])


def test_not_a_number_stays_one() -> None:
    net = _net(0.2).train()
    windows = torch.randn(8, 5, 6)
    windows[3, 0, 0] = torch.nan
    assert not net(windows)[3].isfinite().all()
    assert len(_layers(net)) == 4
