"""Which parameters take which steps, on nets small enough to work the steps out."""

from __future__ import annotations

import math
from typing import Literal

import pytest
import torch
from torch import nn

from asr_kd.am.dnn import Dnn, DnnConfig
from asr_kd.train.config import TrainConfig
from asr_kd.train.optimiser import make_optimiser

RATE = 0.01


def _steps(net: nn.Module, optimiser: Literal["adamw", "muon"]) -> dict[str, torch.Tensor]:
    """Return what a first step with random gradients changes, by the parameter's name."""
    config = TrainConfig(optimiser=optimiser, weight_decay=0.0)
    before = {name: parameter.detach().clone() for name, parameter in net.named_parameters()}
    gradients = _gradients(net)
    for name, parameter in net.named_parameters():
        parameter.grad = gradients[name].clone()
    make_optimiser(net, config).step(RATE)
    assert all(parameter.grad is None for parameter in net.parameters())
    return {name: parameter.detach() - before[name] for name, parameter in net.named_parameters()}


def _gradients(net: nn.Module) -> dict[str, torch.Tensor]:
    torch.manual_seed(3)
    return {name: torch.randn_like(parameter) for name, parameter in net.named_parameters()}


def _net() -> nn.Module:
    torch.manual_seed(5)
    return Dnn(8, 1, 6, DnnConfig(hidden_layers=2, units=16, dropout=0.0))


def test_adamw_begins_with_steps_of_the_rate() -> None:
    for name, step in _steps(_net(), "adamw").items():
        # The first step is the gradient over its own size.
        assert step.abs().numpy() == pytest.approx(RATE, rel=1e-3), name


def test_muon_turns_hidden_weights_orthogonally_and_leaves_the_rest_to_adamw() -> None:
    net = _net()
    steps, gradients = _steps(net, "muon"), _gradients(net)
    hidden = [name for name, module in net.hidden.named_modules() if isinstance(module, nn.Linear)]
    assert len(hidden) == 2
    for name in hidden:
        before, lengths, after = torch.linalg.svd(gradients[f"hidden.{name}.weight"], full_matrices=False)
        # Three Newton-Schulz iterations of the gradient at length 1 bring its singular values nearer to 1
        # and leave its directions; then come the rate and 0.2 sqrt(16).
        lengths = lengths / lengths.norm()
        for _ in range(3):
            lengths = 3.4445 * lengths - 4.775 * lengths**3 + 2.0315 * lengths**5
        turned = before @ lengths.diag() @ after
        step = steps.pop(f"hidden.{name}.weight") / (-RATE * 0.2 * math.sqrt(16))
        assert torch.linalg.matrix_norm(step - turned) < 0.02 * torch.linalg.matrix_norm(turned)  # bfloat16
    assert len(steps) == 4  # the output layer and the biases
    for name, step in steps.items():
        assert step.abs().numpy() == pytest.approx(RATE, rel=1e-3), name


def test_a_net_without_hidden_layers_takes_adamw() -> None:
    steps = _steps(nn.Linear(4, 3), "muon")
    assert steps["weight"].abs().numpy() == pytest.approx(RATE, rel=1e-3)


def test_the_usual_optimiser_does_not_change_what_identifies_a_net() -> None:
    assert "optimiser" not in TrainConfig().model_dump(mode="json")
    assert TrainConfig(optimiser="muon").model_dump(mode="json")["optimiser"] == "muon"


def test_goes_on_from_the_state_of_adamw_alone() -> None:
    net, config = _net(), TrainConfig()
    adamw = torch.optim.AdamW(net.parameters(), fused=True)
    for parameter in net.parameters():
        parameter.grad = torch.ones_like(parameter)
    adamw.step()
    optimiser = make_optimiser(net, config)
    optimiser.load_state_dict(adamw.state_dict())
    state = optimiser.state_dict()["0"]["state"]
    assert [int(each["step"]) for each in state.values()] == [1] * 6
