"""Checkpoints of a training run, from which it goes on as if it had never stopped."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from asr_kd.atomic import atomic_path
from asr_kd.errors import ModelError
from asr_kd.fingerprint import fingerprint


@dataclass
class TrainState:
    """All that a training run needs to go on after an epoch.

    Attributes:
        settings: What must be the same when it goes on.
        epochs_done: Number of finished epochs.
        net: Current weights.
        best: Weights of the best epoch on dev.
        optimiser: State of the optimiser.
        random: State of torch's generator (dropout).
        log: One row an epoch.
        best_epoch: Counted from 1.
        dev_accuracy: At the best epoch.
    """

    settings: dict[str, Any]
    epochs_done: int
    net: dict[str, Tensor]
    best: dict[str, Tensor]
    optimiser: dict[str, Any]
    random: Tensor
    log: list[dict[str, Any]]
    best_epoch: int
    dev_accuracy: float


def save_state(path: Path, state: TrainState) -> None:
    """Write a checkpoint atomically over the one before it."""
    content = {**asdict(state), "settings": fingerprint(state.settings)}
    with atomic_path(path) as temporary:
        torch.save(content, temporary)


def load_state(path: Path, settings: dict[str, Any]) -> TrainState | None:
    """Return the checkpoint at ``path``, or None when there is none.

    Raises:
        ModelError: When it was written with other settings.
    """
    if not path.is_file():
        return None
    content = torch.load(path, map_location="cpu", weights_only=True)
    if content["settings"] != fingerprint(settings):
        raise ModelError(
            "the checkpoint was written with other settings",
            where=path,
            hint="remove the folder, or run with the settings that it was started with",
        )
    return TrainState(**{**content, "settings": settings})
