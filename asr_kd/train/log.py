"""What is recorded of a training run: rows of epochs, and scalars for TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict


class EpochLog(BaseModel):
    """One epoch of training.

    Attributes:
        epoch: Counted from 1.
        means: Loss, its parts and the gradient's norm, averaged over the epoch's steps.
        dev_accuracy: Frame accuracy on dev after the epoch.
        dev_cross_entropy: Mean over dev frames, in nats.
        learning_rate: Of the epoch's last step.
        frames_per_second: Of training alone, dev not counted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    epoch: int
    means: dict[str, float]
    dev_accuracy: float
    dev_cross_entropy: float
    learning_rate: float
    frames_per_second: float

    def short(self) -> str:
        """Return the epoch as a few words."""
        return f"epoch {self.epoch}: loss {self.means['loss']:.3f}, dev {100 * self.dev_accuracy:.1f} %"


class TensorBoardLog:
    """Writes epochs below ``train`` and ``dev``, and some of the steps below ``step``.

    Args:
        folder: Of the training run.
        step: With which it begins; what an earlier, broken-off run wrote of later steps is hidden.
    """

    def __init__(self, folder: Path, step: int = 0) -> None:
        # The import is slow and waits until something is trained.
        from torch.utils.tensorboard.writer import SummaryWriter

        self._writer = SummaryWriter(str(folder / "tensorboard"), purge_step=step)

    def write(self, row: EpochLog, step: int) -> None:
        """Add one epoch that ended before a step."""
        scalars = {
            **{f"train/{key}": value for key, value in row.means.items()},
            "dev/frame_accuracy": row.dev_accuracy,
            "dev/cross_entropy": row.dev_cross_entropy,
            "train/learning_rate": row.learning_rate,
            "train/frames_per_second": row.frames_per_second,
        }
        self._write(scalars, step - 1)

    def write_step(self, step: int, scalars: Mapping[str, float]) -> None:
        """Add what is known of the steps up to one."""
        self._write({f"step/{key}": value for key, value in scalars.items()}, step)

    def _write(self, scalars: Mapping[str, float], step: int) -> None:
        for key, value in scalars.items():
            self._writer.add_scalar(key, value, step)

    def close(self) -> None:
        """Flush and close the file."""
        self._writer.close()
