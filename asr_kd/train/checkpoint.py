"""Checkpoints of a training run, from which it goes on as if it had never stopped.

``last.pt`` is written anew every so often; it names the best epoch, whose weights are in ``best-<epoch>.pt``.
That file is there before ``last.pt`` names it, and older ones are removed afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from asr_kd.atomic import atomic_path, plain_errors
from asr_kd.errors import ModelError
from asr_kd.fingerprint import fingerprint

LAST_FILE = "last.pt"

Weights = dict[str, Tensor]


@dataclass
class TrainState:
    """All that a training run needs to go on after a step.

    Attributes:
        epoch: That it is in, counted from 0.
        batch: Number of the epoch's batches that are done.
        net: Current weights.
        optimiser: State of the optimiser.
        random: States of the generators that dropout draws from, one a rank.
        sums: Of the epoch's losses and norms so far.
        seconds: That the epoch has taken so far.
        log: One row a finished epoch.
        best_epoch: With the best dev accuracy, counted from 1; 0 before the first one is finished.
        dev_accuracy: At the best epoch.
    """

    epoch: int
    batch: int
    net: Weights
    optimiser: dict[str, Any]
    random: list[Tensor]
    sums: dict[str, Tensor]
    seconds: float
    log: list[dict[str, Any]]
    best_epoch: int
    dev_accuracy: float


def save_state(folder: Path, state: TrainState, settings: dict[str, Any]) -> None:
    """Write the state atomically over the one before it, and remove weights that are no longer the best.

    Args:
        folder: Of the training run.
        state: After a step.
        settings: What must be the same when it goes on.
    """
    # Not asdict: it would copy every tensor.
    content = {**vars(state), "settings": fingerprint(settings)}
    with atomic_path(folder / LAST_FILE) as temporary, plain_errors(temporary):
        torch.save(content, temporary)
    for path in folder.glob("best-*.pt"):
        if path != _best_file(folder, state.best_epoch):
            path.unlink(missing_ok=True)


def load_state(folder: Path, settings: dict[str, Any]) -> TrainState | None:
    """Return the last state in ``folder``, or None when there is none.

    Raises:
        ModelError: When it was written with other settings, or is damaged.
    """
    path = folder / LAST_FILE
    if not path.is_file():
        return None
    content = _read(path)
    if content.pop("settings") != fingerprint(settings):
        raise ModelError(
            "the checkpoint was written with other settings",
            where=path,
            hint="remove the folder, or run with the settings that it was started with",
        )
    return TrainState(**content)


def save_best(folder: Path, epoch: int, weights: Weights) -> None:
    """Write the weights of an epoch, counted from 1, that is better than those before."""
    with atomic_path(_best_file(folder, epoch)) as temporary, plain_errors(temporary):
        torch.save(weights, temporary)


def load_best(folder: Path, epoch: int) -> Weights:
    """Return the weights of the best epoch.

    Raises:
        ModelError: When they are damaged.
    """
    weights: Weights = _read(_best_file(folder, epoch))
    return weights


def discard_checkpoints(folder: Path) -> None:
    """Remove the checkpoints of a run that is finished; its logs stay."""
    for path in (folder / LAST_FILE, *folder.glob("best-*.pt")):
        path.unlink(missing_ok=True)


def _read(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged bytes make torch raise nearly anything, and advise what is unsafe
        is_told = isinstance(error, OSError) and error.filename is not None
        if is_told or isinstance(error, MemoryError):
            raise
        raise ModelError(
            "the checkpoint is damaged",
            where=path,
            got=f"{path.stat().st_size:,} bytes that torch cannot read",
            hint="copy it again, or remove its folder: training then begins anew",
        ) from error


def _best_file(folder: Path, epoch: int) -> Path:
    return folder / f"best-{epoch:04}.pt"
