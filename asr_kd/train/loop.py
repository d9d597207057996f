"""The one training loop: it takes a net, batches and a loss, and knows no distillation."""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from asr_kd.am.max_norm import limit_weight_norms
from asr_kd.data.windows import NO_LABEL, Batch, BatchSource
from asr_kd.errors import ModelError
from asr_kd.progress import progress
from asr_kd.train import distributed
from asr_kd.train.checkpoint import TrainState, load_best, load_state, save_best, save_state
from asr_kd.train.config import TrainConfig
from asr_kd.train.cross_entropy import hard_cross_entropy
from asr_kd.train.log import EpochLog
from asr_kd.train.observer import Observer
from asr_kd.train.optimiser import make_optimiser
from asr_kd.train.window_masks import mask_windows

# Ranks agree on a checkpoint every so many steps, for that costs them a message.
_STEPS_BETWEEN_WORDS = 20


Parts = Mapping[str, Tensor]
"""A step's loss and what it consists of, scalars on the device."""


class Loss(Protocol):
    """What is minimised: logits ``[B, S]``, also in bfloat16, and the batch to a scalar and its parts."""

    def __call__(self, logits: Tensor, batch: Batch) -> tuple[Tensor, Parts]:
        """Return the mean loss over the batch's frames, and its parts for the log.

        Over several ranks the mean of all their results is taken, so that a mean over a rank's own frames has
        to be weighted with :func:`asr_kd.train.distributed.share`.
        """


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


def cross_entropy(logits: Tensor, batch: Batch) -> tuple[Tensor, Parts]:
    """Return the mean cross-entropy of logits ``[B, S]`` against the batch's ``pdf_ids`` ``[B]``."""
    loss = hard_cross_entropy(logits, batch.targets["pdf_ids"].long())
    if distributed.world_size() > 1:
        loss = loss * distributed.share(loss.new_tensor(len(batch)))
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

    Under several ranks each is given its share of every batch by its sources; the first one writes.

    Args:
        net: Trained in place; holds the chosen epoch's weights afterwards.
        train: Frames to learn.
        dev: Frames with ``pdf_ids`` that choose the epoch and are never learnt.
        loss: What is minimised.
        config: Settings.
        folder: For the checkpoint and TensorBoard's log; all ranks see it.
        seed: Of dropout; the order of the frames is the source's own.
        name: Shown with the progress.

    Raises:
        ModelError: When the loss is no longer finite.
    """
    return Trainer(net, train, dev, loss, config, folder, seed, name).run()


class Trainer:
    """State of one training run between steps; see :func:`fit` for the arguments.

    The run is a generator, :meth:`steps`: whoever drives it computes the gradients, for one net alone
    (:meth:`run`) or for several at a time (:mod:`asr_kd.train.together`).
    """

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
        self.parallel_net = distributed.data_parallel(self.net, self.device)
        self.train = train
        self.dev = dev
        self.loss = loss
        self.config = config
        self.folder = folder
        self.seed = seed
        self.name = name
        self.num_steps = config.epochs * train.batches_per_epoch
        self.optimiser = make_optimiser(net, config)
        self.result = FitResult()
        self.epoch, self.batch = 0, 0
        self.sums: dict[str, Tensor] = {}
        self.seconds = 0.0
        self.last_save = time.monotonic()
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def step(self) -> int:
        """Number of finished steps."""
        return self.epoch * self.train.batches_per_epoch + self.batch

    def run(self) -> FitResult:
        """Train the net by itself."""
        parts: Parts | None = None
        with closing(self.steps()) as steps:
            while True:
                try:
                    batch = next(steps) if parts is None else steps.send(parts)
                except StopIteration as end:
                    result: FitResult = end.value
                    return result
                parts = self._learn_alone(batch)

    def _learn_alone(self, batch: Batch) -> Parts:
        with self.autocast():
            logits = self.parallel_net(batch.windows)
        total, parts = self.learn(logits, batch)
        total.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return parts

    def steps(self) -> Generator[Batch, Parts, FitResult]:
        """Yield each step's batch, on the device.

        Sent back is what :meth:`learn` gave for it, when the gradients are in the net's parameters.
        """
        distributed.seed_rank(self.seed)
        self._resume()
        frames_left = self.config.epochs * self.train.num_frames
        frames_left -= self.step * self.train.num_frames // self.train.batches_per_epoch
        with (
            progress(self.name, frames_left, "frames") as meter,
            Observer(self.net, self.device, self.config, self.folder, meter, self.step) as self.observer,
        ):
            while self.epoch < self.config.epochs and not self._out_of_patience():
                row = yield from self._epoch()
                self._keep_if_better(row)
                self.result.epochs.append(row)
                self.epoch, self.batch, self.sums, self.seconds = self.epoch + 1, 0, {}, 0.0
                self.observer.after_epoch(row, self.step)
                self._save()
        if self.config.early_stopping:
            distributed.first_says(True)  # It has written the file by then.
            self.net.load_state_dict(load_best(self.folder, self.result.best_epoch))
            distributed.wait_for_all()  # The first one removes the file next.
        else:
            self.result.best_epoch = len(self.result.epochs)
            self.result.dev_accuracy = self.result.epochs[-1].dev_accuracy
        return self.result

    def _epoch(self) -> Generator[Batch, Parts, EpochLog]:
        self.net.train()
        start = time.monotonic() - self.seconds
        for batch in self.train.epoch(self.epoch, self.batch):
            rate = self.config.rate(self.step, self.num_steps)
            parts = self._update(rate, (yield self._masked(_to(batch, self.device))))
            for key, value in parts.items():
                # Sums stay on the device: reading a value in each step would wait for the GPU.
                self.sums[key] = self.sums.get(key, torch.zeros((), device=self.device)) + value
            self.batch += 1
            self.seconds = time.monotonic() - start
            self.observer.after_step(self.step, parts, rate, len(batch) * distributed.world_size())
            if self.batch < self.train.batches_per_epoch and self._is_save_due():
                self._save()
        means = self._means()
        self.seconds = time.monotonic() - start  # A GPU has finished only now.
        accuracy, dev_cross_entropy = self.evaluate()
        return EpochLog(
            epoch=self.epoch + 1,
            means=means,
            dev_accuracy=accuracy,
            dev_cross_entropy=dev_cross_entropy,
            learning_rate=self.config.rate(self.step - 1, self.num_steps),
            frames_per_second=self.train.num_frames / self.seconds,
        )

    def _masked(self, batch: Batch) -> Batch:
        masks = self.config.masks
        return batch if masks is None else Batch(mask_windows(batch.windows, masks), batch.targets)

    def _means(self) -> dict[str, float]:
        """Return the means over the epoch's steps so far.

        Raises:
            ModelError: When loss or gradient is not finite.
        """
        means = {key: float(value) / self.batch for key, value in self.sums.items()}
        # The gradient too: a hidden layer's NaN may be rectified away before it reaches the loss.
        if not math.isfinite(means["loss"] + means["gradient_norm"]):
            raise ModelError(
                f"the loss is not finite in epoch {self.epoch + 1}",
                where=self.name,
                hint="lower train.learning_rate or look for odd features",
            )
        return means

    def learn(self, logits: Tensor, batch: Batch) -> tuple[Tensor, Parts]:
        """Return the loss of a step's logits ``[B, S]``, to go backward from, and its parts with the loss."""
        self.observer.see(self.step, logits, batch)
        total, parts = self.loss(logits, batch)
        return total, {"loss": total.detach(), **parts}

    def _update(self, rate: float, parts: Parts) -> dict[str, Tensor]:
        """Update the weights from their gradients, and return what to log of the step."""
        limit = self.config.max_gradient_norm or math.inf
        norm = nn.utils.clip_grad_norm_(self.net.parameters(), limit)
        self.optimiser.step(rate)
        if self.config.max_weight_norm:
            limit_weight_norms(self.net, self.config.max_weight_norm)
        return _mean_over_ranks({**parts, "gradient_norm": norm})

    def autocast(self) -> torch.autocast:
        """Return the context in which the net runs."""
        dtype = self.config.autocast_dtype()
        return torch.autocast(self.device.type, dtype or torch.bfloat16, enabled=dtype is not None)

    @torch.inference_mode()
    def evaluate(self) -> tuple[float, float]:
        """Return frame accuracy and cross-entropy on the frames of dev that have a label.

        Raises:
            ModelError: When none has.
        """
        self.net.eval()
        sums = torch.zeros(3, device=self.device)  # correct frames, nats, frames, of those with a label
        for batch in self._dev_batches():
            with self.autocast():
                logits = self.net(batch.windows)
            logits = logits.float()
            pdf_ids = batch.targets["pdf_ids"].long()
            sums[0] += (logits.argmax(1) == pdf_ids).sum()
            sums[1] += nn.functional.cross_entropy(logits, pdf_ids, reduction="sum", ignore_index=NO_LABEL)
            sums[2] += (pdf_ids != NO_LABEL).sum()
        correct, nats, total = distributed.summed(sums).tolist()
        if not total:
            raise ModelError("no frame of dev has a label", where=self.name, hint="look at align/failed.txt")
        return correct / total, nats / total

    def _dev_batches(self) -> Iterator[Batch]:
        return (_to(batch, self.device) for batch in self.dev.epoch(0))

    def _keep_if_better(self, row: EpochLog) -> None:
        if not self.result.epochs or row.dev_accuracy > self.result.dev_accuracy:
            self.result.dev_accuracy = row.dev_accuracy
            self.result.best_epoch = row.epoch
            if self.config.early_stopping and distributed.is_first():
                save_best(self.folder, row.epoch, self.net.state_dict())

    def _out_of_patience(self) -> bool:
        patience = self.config.patience
        return patience is not None and len(self.result.epochs) - self.result.best_epoch >= patience

    def _is_save_due(self) -> bool:
        due = time.monotonic() - self.last_save >= self.config.checkpoint_seconds
        if distributed.world_size() == 1:
            return due
        return self.step % _STEPS_BETWEEN_WORDS == 0 and distributed.first_says(due)

    def _save(self) -> None:
        if self.sums:
            self._means()  # A state that is lost already is not kept.
        state = TrainState(
            epoch=self.epoch,
            batch=self.batch,
            net=self.net.state_dict(),
            optimiser=self.optimiser.state_dict(),
            random=distributed.random_states(self.device),
            sums=self.sums,
            seconds=self.seconds,
            log=[row.model_dump() for row in self.result.epochs],
            best_epoch=self.result.best_epoch,
            dev_accuracy=self.result.dev_accuracy,
        )
        if distributed.is_first():
            save_state(self.folder, state, self._settings())
        self.last_save = time.monotonic()

    def _resume(self) -> None:
        state = load_state(self.folder, self._settings())
        if state is None:
            return
        self.net.load_state_dict(state.net)
        self.optimiser.load_state_dict(state.optimiser)
        self.epoch, self.batch, self.seconds = state.epoch, state.batch, state.seconds
        distributed.set_random_state(state.random, self.device, self.seed, self.step)
        self.sums = {key: value.to(self.device) for key, value in state.sums.items()}
        rows = [EpochLog.model_validate(row) for row in state.log]
        self.result = FitResult(rows, state.best_epoch, state.dev_accuracy)

    def _settings(self) -> dict[str, object]:
        return {
            "config": self.config.model_dump(),
            "seed": self.seed,
            "num_frames": self.train.num_frames,
            "net": str(self.net),
        }


def _mean_over_ranks(parts: dict[str, Tensor]) -> dict[str, Tensor]:
    if distributed.world_size() == 1:
        return parts
    means = distributed.summed(torch.stack(list(parts.values()))) / distributed.world_size()
    return dict(zip(parts, means.unbind(), strict=True))


def _to(batch: Batch, device: torch.device) -> Batch:
    if device.type == "cpu":
        return batch
    targets = {key: value.to(device, non_blocking=True) for key, value in batch.targets.items()}
    return Batch(batch.windows.to(device, non_blocking=True), targets)
