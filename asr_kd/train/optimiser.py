"""The optimisers that a net may be trained with, as one that steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from asr_kd.train.config import TrainConfig
from asr_kd.train.muon import Muon


class Optimiser:
    """Optimisers of different parameters of a net, with one learning rate.

    Args:
        parts: Together they have every parameter once.
    """

    def __init__(self, parts: Sequence[torch.optim.Optimizer]) -> None:
        self.parts = parts

    def step(self, rate: float) -> None:
        """Update the parameters from their gradients, and forget those.

        Args:
            rate: Learning rate of this step.
        """
        for part in self.parts:
            for group in part.param_groups:
                group["lr"] = rate
            part.step()
            part.zero_grad(set_to_none=True)

    def state_dict(self) -> dict[str, Any]:
        """Return the state, for a checkpoint."""
        return {str(number): part.state_dict() for number, part in enumerate(self.parts)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint's state."""
        for number, part in enumerate(self.parts):
            # Checkpoints from when AdamW stood alone are its state itself.
            part.load_state_dict(state.get(str(number), state))


def make_optimiser(net: nn.Module, config: TrainConfig) -> Optimiser:
    """Return the optimiser of a net's parameters.

    With ``muon`` the weights of all linear layers but the last, the output layer, take Muon's orthogonal
    steps (:mod:`asr_kd.train.muon`); all else takes AdamW's.

    Source: Loshchilov & Hutter 2019, "Decoupled weight decay regularization".
    """
    rate, decay = config.learning_rate, config.weight_decay
    linear = [module.weight for module in net.modules() if isinstance(module, nn.Linear)]
    matrices = linear[:-1] if config.optimiser == "muon" else []
    taken = set(map(id, matrices))
    others = [parameter for parameter in net.parameters() if id(parameter) not in taken]
    parts: list[torch.optim.Optimizer] = [torch.optim.AdamW(others, lr=rate, weight_decay=decay, fused=True)]
    if matrices:
        parts.append(Muon(matrices, lr=rate, weight_decay=decay))
    return Optimiser(parts)
