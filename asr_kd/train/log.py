"""What is recorded of each epoch."""

from __future__ import annotations

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
    """Writes epochs for TensorBoard; the import is slow and waits for the first row."""

    def __init__(self, folder: Path) -> None:
        from torch.utils.tensorboard.writer import SummaryWriter

        self._writer = SummaryWriter(str(folder / "tensorboard"))

    def write(self, row: EpochLog) -> None:
        """Add one epoch."""
        scalars = {
            **{f"train/{key}": value for key, value in row.means.items()},
            "dev/frame_accuracy": row.dev_accuracy,
            "dev/cross_entropy": row.dev_cross_entropy,
            "train/learning_rate": row.learning_rate,
            "train/frames_per_second": row.frames_per_second,
        }
        for key, value in scalars.items():
            self._writer.add_scalar(key, value, row.epoch)

    def close(self) -> None:
        """Flush and close the file."""
        self._writer.close()
