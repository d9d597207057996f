"""The paper's acoustic model: rectified linear hidden layers over a window of frames."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from asr_kd.am.dense_training import dense_logits
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
        is_dense = config.normalisation == "none" and not config.input_dropout
        self._dense_dropout = config.dropout if is_dense else None
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
        if self._dense_dropout is not None and self.training and windows.device.type == "cpu":
            layers = [module for module in self.modules() if isinstance(module, nn.Linear)]
            return dense_logits(windows, layers, self._dense_dropout)
        logits: Tensor = self.output(self.hidden(windows.flatten(1)))
        return logits


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
