"""The one training loop: it takes a net, batches and a loss, and knows no distillation."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from asr_kd.am.max_norm import limit_weight_norms
from asr_kd.data.windows import Batch, BatchSource
from asr_kd.errors import ModelError
from asr_kd.progress import progress
from asr_kd.train.checkpoint import TrainState, load_state, save_state
from asr_kd.train.config import TrainConfig
from asr_kd.train.log import EpochLog, TensorBoardLog

CHECKPOINT_FILE = "checkpoint.pt"


class Loss(Protocol):
    """What is minimised: logits ``[B, S]`` and the batch to a scalar and its named parts."""

    def __call__(self, logits: Tensor, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Return the mean loss over the batch's frames, and its parts for the log."""


@dataclass
class FitResult:
    """What training gave.

    Attributes:
        epochs: One row an epoch: loss and its parts, dev accuracy, dev cross-entropy, rate, frames/s.
        best_epoch: Whose weights the net holds, counted from 1.
        dev_accuracy: Frame accuracy on dev at that epoch.
    """

    epochs: list[EpochLog] = field(default_factory=list)
    best_epoch: int = 0
    dev_accuracy: float = 0.0


def cross_entropy(logits: Tensor, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
    """Return the mean cross-entropy of logits ``[B, S]`` against the batch's ``pdf_ids`` ``[B]``."""
    loss = nn.functional.cross_entropy(logits, batch.targets["pdf_ids"].long())
    return loss, {}


def fit(
    net: nn.Module,
    train: BatchSource,
    dev: BatchSource,
    loss: Loss,
    config: TrainConfig,
    folder: Path,
    *,
    seed: int,
    name: str = "net",
) -> FitResult:
    """Train a net; resume from the checkpoint in ``folder`` when one is there.

    Args:
        net: Trained in place; holds the chosen epoch's weights afterwards.
        train: Frames to learn.
        dev: Frames with ``pdf_ids`` that choose the epoch and are never learnt.
        loss: What is minimised.
        config: Settings.
        folder: For the checkpoint and TensorBoard's log.
        seed: Of dropout; the order of the frames is the source's own.
        name: Shown with the progress.

    Raises:
        ModelError: When the loss is no longer finite.
    """
    return _Trainer(net, train, dev, loss, config, folder, seed, name).run()


class _Trainer:
    """State of one training run between steps."""

    def __init__(
        self,
        net: nn.Module,
        train: BatchSource,
        dev: BatchSource,
        loss: Loss,
        config: TrainConfig,
        folder: Path,
        seed: int,
        name: str,
    ) -> None:
        self.device = config.torch_device()
        self.net = net.to(self.device)
        self.train = train
        self.dev = dev
        self.loss = loss
        self.config = config
        self.folder = folder
        self.seed = seed
        self.name = name
        self.num_steps = config.epochs * train.batches_per_epoch
        self.optimiser = torch.optim.AdamW(
            net.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
        )
        self.result = FitResult()
        self.best_weights: dict[str, Tensor] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def run(self) -> FitResult:
        torch.manual_seed(self.seed)
        first_epoch = self._resume()
        log = TensorBoardLog(self.folder)
        frames_left = (self.config.epochs - first_epoch) * self.train.num_frames
        with progress(self.name, frames_left, "frames") as meter:
            for epoch in range(first_epoch, self.config.epochs):
                row = self._epoch(epoch, meter.advance)
                self._keep_if_better(row)
                self.result.epochs.append(row)
                log.write(row)
                meter.advance(0, note=row.short())
                self._save(epoch + 1)
                if self._out_of_patience():
                    break
        log.close()
        if self.config.early_stopping:
            self.net.load_state_dict(self.best_weights)
        else:
            self.result.best_epoch = len(self.result.epochs)
            self.result.dev_accuracy = self.result.epochs[-1].dev_accuracy
        return self.result

    def _epoch(self, epoch: int, advance: _Advance) -> EpochLog:
        self.net.train()
        start = time.monotonic()
        sums: dict[str, Tensor] = {}
        step = epoch * self.train.batches_per_epoch
        for batch in self.train.epoch(epoch):
            rate = self.config.rate(step, self.num_steps)
            parts = self._step(_to(batch, self.device), rate)
            for key, value in parts.items():
                # Sums stay on the device: reading a value in each step would wait for the GPU.
                sums[key] = sums.get(key, torch.zeros((), device=self.device)) + value.detach()
            advance(len(batch))
            step += 1
        means = {key: float(value) / self.train.batches_per_epoch for key, value in sums.items()}
        if not math.isfinite(means["loss"]):
            raise ModelError(
                f"the loss is not finite in epoch {epoch + 1}",
                where=self.name,
                hint="lower train.learning_rate or look for odd features",
            )
        frames_per_second = self.train.num_frames / (time.monotonic() - start)
        accuracy, dev_cross_entropy = self.evaluate()
        return EpochLog(
            epoch=epoch + 1,
            means=means,
            dev_accuracy=accuracy,
            dev_cross_entropy=dev_cross_entropy,
            learning_rate=self.config.rate(step - 1, self.num_steps),
            frames_per_second=frames_per_second,
        )

    def _step(self, batch: Batch, rate: float) -> dict[str, Tensor]:
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        total, parts = self.loss(self._logits(batch), batch)
        total.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        limit = self.config.max_gradient_norm or math.inf
        norm = nn.utils.clip_grad_norm_(self.net.parameters(), limit)
        self.optimiser.step()
        if self.config.max_weight_norm:
            limit_weight_norms(self.net, self.config.max_weight_norm)
        self.optimiser.zero_grad(set_to_none=True)
        return {"loss": total, "gradient_norm": norm, **parts}

    def _logits(self, batch: Batch) -> Tensor:
        dtype = self.config.autocast_dtype()
        with torch.autocast(self.device.type, dtype or torch.bfloat16, enabled=dtype is not None):
            logits: Tensor = self.net(batch.windows)
        return logits.float()

    @torch.inference_mode()
    def evaluate(self) -> tuple[float, float]:
        """Return frame accuracy and cross-entropy on dev."""
        self.net.eval()
        correct = torch.zeros((), device=self.device)
        entropy = torch.zeros((), device=self.device)
        total = 0
        for batch in self._dev_batches():
            logits = self._logits(batch)
            pdf_ids = batch.targets["pdf_ids"].long()
            correct += (logits.argmax(1) == pdf_ids).sum()
            entropy += nn.functional.cross_entropy(logits, pdf_ids, reduction="sum")
            total += len(batch)
        return float(correct) / total, float(entropy) / total

    def _dev_batches(self) -> Iterator[Batch]:
        return (_to(batch, self.device) for batch in self.dev.epoch(0))

    def _keep_if_better(self, row: EpochLog) -> None:
        if not self.result.epochs or row.dev_accuracy > self.result.dev_accuracy:
            self.result.dev_accuracy = row.dev_accuracy
            self.result.best_epoch = row.epoch
            self.best_weights = {key: value.clone() for key, value in self.net.state_dict().items()}

    def _out_of_patience(self) -> bool:
        patience = self.config.patience
        return patience is not None and len(self.result.epochs) - self.result.best_epoch >= patience

    def _save(self, epochs_done: int) -> None:
        state = TrainState(
            settings=self._settings(),
            epochs_done=epochs_done,
            net=self.net.state_dict(),
            best=self.best_weights,
            optimiser=self.optimiser.state_dict(),
            random=torch.get_rng_state(),
            log=[row.model_dump() for row in self.result.epochs],
            best_epoch=self.result.best_epoch,
            dev_accuracy=self.result.dev_accuracy,
        )
        save_state(self.folder / CHECKPOINT_FILE, state)

    def _resume(self) -> int:
        state = load_state(self.folder / CHECKPOINT_FILE, self._settings())
        if state is None:
            return 0
        self.net.load_state_dict(state.net)
        self.optimiser.load_state_dict(state.optimiser)
        torch.set_rng_state(state.random)
        self.best_weights = state.best
        rows = [EpochLog.model_validate(row) for row in state.log]
        self.result = FitResult(rows, state.best_epoch, state.dev_accuracy)
        return self.config.epochs if self._out_of_patience() else state.epochs_done

    def _settings(self) -> dict[str, object]:
        return {
            "config": self.config.model_dump(),
            "seed": self.seed,
            "num_frames": self.train.num_frames,
            "net": str(self.net),
        }


class _Advance(Protocol):
    def __call__(self, amount: int = 1, note: str = "") -> None: ...


def _to(batch: Batch, device: torch.device) -> Batch:
    if device.type == "cpu":
        return batch
    targets = {key: value.to(device, non_blocking=True) for key, value in batch.targets.items()}
    return Batch(batch.windows.to(device, non_blocking=True), targets)
