"""What is shown and logged while a net trains; it reads values from the device only now and then."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import torch
from torch import Tensor, nn

from asr_kd.data.windows import Batch
from asr_kd.progress import Meter
from asr_kd.train import distributed
from asr_kd.train.config import TrainConfig
from asr_kd.train.log import EpochLog, TensorBoardLog
from asr_kd.train.speed import MatmulPeak, training_flop_per_frame

_STEPS_BETWEEN_ROWS = 50
_SECONDS_BEFORE_PEAK = 5.0


class Observer:
    """Keeps the meter and TensorBoard's log of one training run.

    Args:
        net: That is trained.
        device: Where.
        config: How.
        folder: For the log, which the first rank writes.
        meter: Shows progress.
        step: With which the training begins.
    """

    def __init__(
        self,
        net: nn.Module,
        device: torch.device,
        config: TrainConfig,
        folder: Path,
        meter: Meter,
        step: int,
    ) -> None:
        self._peak = MatmulPeak(device.type, config.autocast_dtype() or torch.float32)
        self._meter = meter
        self._log = TensorBoardLog(folder, step) if distributed.is_first() else None
        self._flop = training_flop_per_frame(net)
        self._start = self._row_start = time.monotonic()
        self._frames = 0
        self._sums: dict[str, Tensor] = {}
        self._steps = 0
        self._note = ""

    def __enter__(self) -> Observer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._log is not None:
            self._log.close()

    def see(self, step: int, logits: Tensor, batch: Batch) -> None:
        """Take the frame accuracy from the logits ``[B, S]`` of a step that ends a row of the log."""
        if self._log is None or (step + 1) % _STEPS_BETWEEN_ROWS:
            return
        pdf_ids = batch.targets["pdf_ids"]
        correct = (logits.detach().argmax(1) == pdf_ids)[pdf_ids >= 0]  # -1 marks a frame without a label
        self._sums["frame_accuracy"] = correct.float().mean()

    def after_step(self, step: int, parts: Mapping[str, Tensor], rate: float, num_frames: int) -> None:
        """Count a finished step.

        Args:
            step: Number of finished steps.
            parts: Loss, its parts and the gradient's norm.
            rate: Learning rate.
            num_frames: Of the step's batch, over all ranks.
        """
        self._meter.advance(num_frames, note=self._note)
        if self._log is None:
            return
        self._frames += num_frames
        self._steps += 1
        for key, value in parts.items():
            self._sums[key] = self._sums[key] + value if key in self._sums else value
        if step % _STEPS_BETWEEN_ROWS == 0:
            self._write_row(step, rate, self._log)

    def after_epoch(self, row: EpochLog, step: int) -> None:
        """Log a finished epoch; ``step`` is the number of finished steps."""
        if self._log is not None:
            self._log.write(row, step)
        self._note = row.short()
        self._meter.advance(0, note=self._note)
        self._row_start, self._frames, self._steps, self._sums = time.monotonic(), 0, 0, {}

    def _write_row(self, step: int, rate: float, log: TensorBoardLog) -> None:
        accuracy = self._sums.pop("frame_accuracy", None)
        scalars = {key: float(value) / self._steps for key, value in self._sums.items()}
        if accuracy is not None:
            scalars["frame_accuracy"] = float(accuracy)
        now = time.monotonic()
        speed = self._frames / (now - self._row_start)
        scalars |= {"learning_rate": rate, "frames_per_second": speed}
        self._note = f"loss {scalars['loss']:.3f}"
        if self._flop and now - self._start > _SECONDS_BEFORE_PEAK:
            peak = self._peak.flops() * distributed.world_size()
            scalars["share_of_matmul_peak"] = speed * self._flop / peak
            self._note += f", {100 * scalars['share_of_matmul_peak']:.0f} % of the matmul peak"
        log.write_step(step, scalars)
        self._row_start, self._frames, self._steps, self._sums = time.monotonic(), 0, 0, {}
