"""A small training run on frames that the tests make, alone or as one of the ranks of ``torchrun``.

``python -m tests.support.training_run FOLDER LOSS [key=value ...]`` writes weights and every step's loss.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from asr_kd.am.dnn import Dnn, DnnConfig
from asr_kd.data.windows import NO_LABEL, Batch, ContextWindow
from asr_kd.distill.targets import SOFT_IDS, SOFT_PROBS, SOFT_TAIL
from asr_kd.stages.student_loss import DistillationLoss, StudentConfig
from asr_kd.train import distributed
from asr_kd.train.config import TrainConfig
from asr_kd.train.loop import FitResult, Loss, cross_entropy, fit
from asr_kd.train.observer import Observer
from asr_kd.train.window_masks import WindowMasks
from tests.support.memory_source import MemorySource

WINDOW = ContextWindow(2, 1)
NUM_SENONES = 6
LENGTHS = (301, 177, 90, 232)


def source(seed: int, batch_size: int, labelled: float = 1.0, pool_frames: int = 1_000_000) -> MemorySource:
    """Frames whose class depends on their features, with soft targets; some without a label."""
    generator = torch.Generator().manual_seed(seed)
    rule = torch.randn(3, NUM_SENONES, generator=torch.Generator().manual_seed(0))
    features = [torch.randn(length, 3, generator=generator) for length in LENGTHS]
    top = [(2 * (frames @ rule)).softmax(1).topk(3) for frames in features]
    hidden = [torch.rand(length, generator=generator) > labelled for length in LENGTHS]
    pdf_ids = [t.indices[:, 0].masked_fill(hide, NO_LABEL) for t, hide in zip(top, hidden, strict=True)]
    targets = {
        "pdf_ids": pdf_ids,
        SOFT_IDS: [t.indices for t in top],
        SOFT_PROBS: [t.values for t in top],
        SOFT_TAIL: [1 - t.values.sum(1) for t in top],
    }
    ranks = distributed.rank(), distributed.world_size()
    return MemorySource(features, targets, batch_size, WINDOW, pool_frames, 7, *ranks)


def net(dropout: float) -> nn.Module:
    """Return the untrained net."""
    torch.manual_seed(5)
    return Dnn(3, WINDOW.width, NUM_SENONES, DnnConfig(hidden_layers=2, units=16, dropout=dropout))


def loss(name: str) -> Loss:
    """Return the ``hard`` or the ``soft`` loss."""
    if name == "hard":
        return cross_entropy
    return DistillationLoss(StudentConfig(soft_weight=1.0, hard_weight=0.7), 2.0)


class Killed(Exception):  # noqa: N818  # stands for a signal
    """The run ends here."""


def run(
    folder: Path,
    name: str,
    *,
    die_at: int | None = None,
    kill_rank: int | None = None,
    epochs: int = 3,
    dropout: float = 0.2,
    pool_frames: int = 1_000_000,
    checkpoint_seconds: float = 1e9,
    device: str = "cpu",
    optimiser: Literal["adamw", "muon"] = "adamw",
    masks: WindowMasks | None = None,
) -> tuple[nn.Module, FitResult, list[dict[str, float]]]:
    """Train, resuming from ``folder``.

    Args:
        folder: For checkpoints.
        name: Of the loss.
        die_at: Number of calls of the loss after which the run breaks off.
        kill_rank: Which rank is then killed; None raises :class:`Killed`.
        epochs: To train.
        dropout: Of the net.
        pool_frames: Of the source.
        checkpoint_seconds: Between checkpoints.
        device: To train on.
        optimiser: To train with.
        masks: Of the windows.

    Returns:
        The net, the result, and for each step loss, its parts and the gradient's norm.
    """
    config = TrainConfig(
        epochs=epochs,
        batch_size=48,
        learning_rate=0.01,
        precision="fp32",
        device=device,
        optimiser=optimiser,
        masks=masks,
        checkpoint_seconds=checkpoint_seconds,
    )
    calls = 0
    inner = loss(name)

    def dying(logits: Tensor, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        nonlocal calls
        if calls == die_at:
            if kill_rank is None:
                raise Killed
            if distributed.rank() == kill_rank:
                os.kill(os.getpid(), signal.SIGKILL)
        calls += 1
        return inner(logits, batch)

    steps: list[dict[str, float]] = []
    with Recording(steps):
        trained = net(dropout)
        train = source(1, config.batch_size, 1.0 if name == "hard" else 0.7, pool_frames)
        result = fit(trained, train, source(2, 64), dying, config, folder, seed=7)
    return trained, result, steps


def killed_once(
    folder: Path, name: str, die_at: int | None
) -> tuple[list[np.ndarray], list[dict[str, float]]]:
    """Train, in a process that is killed at a step when it is the first in this folder.

    Returns:
        The weights, and the steps of the process that came to the end.
    """
    is_first = not (folder / "begun").exists()
    folder.mkdir(exist_ok=True)
    (folder / "begun").touch()
    trained, _, steps = run(
        folder, name, die_at=die_at if is_first else None, kill_rank=0, checkpoint_seconds=0
    )
    return [weights.numpy() for weights in trained.state_dict().values()], steps


class Recording:
    """Keeps what the loop tells its observer of every step."""

    def __init__(self, steps: list[dict[str, float]]) -> None:
        self.steps = steps
        self.original = Observer.after_step

    def __enter__(self) -> None:
        original, steps = self.original, self.steps

        def after_step(self: Observer, step: int, parts: Mapping[str, Tensor], *rest: Any) -> None:
            steps.append({key: float(value) for key, value in parts.items()})
            original(self, step, parts, *rest)

        Observer.after_step = after_step

    def __exit__(self, *error: object) -> None:
        Observer.after_step = self.original


def main() -> None:
    """Run as one of the ranks."""
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    options = {key: json.loads(value) for key, value in (text.split("=") for text in sys.argv[3:])}
    with distributed.process_group():
        trained, result, steps = run(folder, sys.argv[2], **options)
        if distributed.is_first():
            torch.save(trained.state_dict(), folder / "final.pt")
            (folder / "steps.json").write_text(json.dumps(steps))
            (folder / "epochs.json").write_text(json.dumps([row.model_dump() for row in result.epochs]))
    (folder / f"threads-{os.environ.get('RANK', '0')}.json").write_text(json.dumps(thread_names()))


def thread_names() -> list[str]:
    """Return what this process's threads are called, where the system tells it."""
    return [path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")]


if __name__ == "__main__":
    main()
