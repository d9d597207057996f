"""The paper's acoustic model: rectified linear hidden layers over a window of frames."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from asr_kd.am.dense_training import dense_logits, draw_seed, joint_dense_logits
from asr_kd.am.dropout import Dropout


class DnnConfig(BaseModel):
    """Shape and regularisation of a :class:`Dnn`.

    The paper's size is 8 hidden layers of 2560 units (Hinton, Vinyals & Dean 2015, section 4).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    hidden_layers: int = Field(4, ge=1)
    units: int = Field(512, ge=1)
    dropout: float = Field(0.2, ge=0, lt=1)
    input_dropout: float = Field(0.0, ge=0, lt=1)
    normalisation: Literal["none", "layer"] = "none"


class Dnn(nn.Module):
    """Feed-forward classifier of the window's centre frame.

    Args:
        input_dim: Feature dimension D.
        window_width: Number of frames W in a window.
        num_senones: Number of classes S.
        config: Shape and regularisation.
    """

    def __init__(self, input_dim: int, window_width: int, num_senones: int, config: DnnConfig) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        if config.input_dropout:
            layers.append(Dropout(config.input_dropout))
        width = input_dim * window_width
        for _ in range(config.hidden_layers):
            layers.append(nn.Linear(width, config.units))
            if config.normalisation == "layer":
                layers.append(nn.LayerNorm(config.units))
            layers.append(nn.ReLU())
            if config.dropout:
                layers.append(Dropout(config.dropout))
            width = config.units
        self.hidden = nn.Sequential(*layers)
        self.output = nn.Linear(width, num_senones)
        self.dropout = config.dropout
        self._is_dense = config.normalisation == "none"
        self.drops_input = config.input_dropout > 0
        self._initialise()

    def _initialise(self) -> None:
        for module in self.hidden.modules():
            if isinstance(module, nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)
        # A small output layer starts the net at the uniform distribution, whatever S is.
        nn.init.normal_(self.output.weight, std=0.01)
        nn.init.zeros_(self.output.bias)

    def forward(self, windows: Tensor) -> Tensor:
        """Map windows ``[B, W, D]`` to logits ``[B, S]``."""
        if self.is_dense_on(windows.device) and self.training:
            return dense_logits(self.input_layer(windows), self.linear_layers(), self.dropout)
        logits: Tensor = self.output(self.hidden(windows.flatten(1)))
        return logits

    def is_dense_on(self, device: torch.device) -> bool:
        """Return whether the net in training runs as :mod:`asr_kd.am.dense_training` has it."""
        return self._is_dense and device.type == "cpu"

    def input_layer(self, windows: Tensor) -> Tensor:
        """Return windows ``[B, W, D]`` after the dropout of the input, if there is one."""
        dropped: Tensor = self.hidden[0](windows) if self.drops_input else windows
        return dropped

    def linear_layers(self) -> list[nn.Linear]:
        """Return the hidden layers' and the output's."""
        return [module for module in self.modules() if isinstance(module, nn.Linear)]


def can_join(nets: Sequence[nn.Module]) -> bool:
    """Return whether :func:`joint_logits` takes these nets."""
    return all(isinstance(net, Dnn) for net in nets) and len({str(net) for net in nets}) == 1


def joint_logits(
    nets: Sequence[nn.Module],
    windows: Tensor,
    randomness: Sequence[Callable[[], AbstractContextManager[None]]],
) -> Sequence[Tensor]:
    """Return the logits ``[B, S]`` of each of N nets in training, with the products of a layer done together.

    Args:
        nets: Of one shape (:func:`can_join`).
        windows: ``[N, B, W, D]``: each net has its own.
        randomness: For each net the context in which its dropout is drawn.
    """
    joined = [net for net in nets if isinstance(net, Dnn)]
    assert len(joined) == len(nets) == len(windows)
    first = joined[0]
    if not first.is_dense_on(windows.device):
        return _joint_layers(joined, windows.flatten(2), randomness).unbind()
    inputs, seeds = [], []
    for net, own, part in zip(joined, randomness, windows, strict=True):
        with own():
            inputs.append(net.input_layer(part))
            seeds.append(draw_seed() if first.dropout else 0)
    dropped = torch.stack(inputs) if first.drops_input else windows
    return joint_dense_logits(dropped, [net.linear_layers() for net in joined], first.dropout, seeds)


def _joint_layers(
    nets: Sequence[Dnn],
    units: Tensor,
    randomness: Sequence[Callable[[], AbstractContextManager[None]]],
) -> Tensor:
    for layers in zip(*([*net.hidden, net.output] for net in nets), strict=True):
        if linear := [layer for layer in layers if isinstance(layer, nn.Linear)]:
            weights = torch.stack([layer.weight for layer in linear])
            biases = torch.stack([layer.bias for layer in linear])
            units = torch.baddbmm(biases[:, None], units, weights.mT)
        elif isinstance(layers[0], nn.ReLU):
            units = layers[0](units)
        else:
            parts = []
            for layer, own, part in zip(layers, randomness, units, strict=True):
                with own():
                    parts.append(layer(part))
            units = torch.stack(parts)
    return units


def num_parameters(net: nn.Module) -> int:
    """Return the number of trainable parameters."""
    return sum(parameter.numel() for parameter in net.parameters() if parameter.requires_grad)


def matmul_flop_per_frame(net: nn.Module) -> int:
    """Return the multiply-add work of one frame's forward pass in FLOP, linear layers alone."""
    linear = [module for module in net.modules() if isinstance(module, nn.Linear)]
    return sum(2 * module.in_features * module.out_features for module in linear)


def seeded(seed: int) -> torch.Generator:
    """Seed torch's global generator, which initialisation and dropout draw from, and return it."""
    return torch.manual_seed(seed)
