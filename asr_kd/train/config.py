"""Settings of the training loop, and the learning rate over an epoch count."""

from __future__ import annotations

import math
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field

from asr_kd.am.device import WantedPrecision, usable_device, usable_precision
from asr_kd.fingerprint import unless
from asr_kd.train.window_masks import WindowMasks


class TrainConfig(BaseModel):
    """How a net is trained, the same for baseline, teacher and student.

    Attributes:
        epochs: Passes over all frames.
        batch_size: Frames in a step.
        optimiser: ``adamw``, or ``muon`` for the hidden layers' weights beside AdamW for the rest: a longer
            step, which pays where batches are large (:mod:`asr_kd.train.optimiser`).
        learning_rate: Of the optimiser at its peak.
        schedule: ``cosine`` decays to zero over all epochs; ``constant`` stays at the peak.
        warmup_share: Share of all steps in which the rate rises linearly from zero.
        weight_decay: Decoupled decay.
        max_gradient_norm: Longer gradients are scaled down to it; 0 for never.
        max_weight_norm: Longest vector of a unit's incoming weights, kept after every step; 0 for any.
        masks: Of the windows that it learns, drawn anew in every step (:mod:`asr_kd.train.window_masks`):
            ``{}`` for the usual ones, None for none. A recipe refuses them where nothing normalises features.
        precision: ``auto`` takes bfloat16 autocast where the processor multiplies it natively.
        early_stopping: Keep the weights of the epoch with the best dev frame accuracy.
        patience: Stop after so many epochs without a better dev accuracy; None for never.
        checkpoint_seconds: Write a checkpoint after so many seconds, and after every epoch; 0 for every step.
            It changes nothing about the net, so it is no part of what identifies one.
        together: Train teachers, baselines and controls that differ in their seeds alone in step with each
            other, with their products done as one; it changes nothing but rounding.
        num_processes: Nets of a stage that train at a time, each in a process; None: one a core and those
            that a last round would have, one after the other on a GPU. More of them want more memory. No part
            of what identifies a net either.
        device: ``auto`` takes a CUDA GPU where there is one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: int = Field(12, ge=1)
    batch_size: int = Field(512, ge=1)
    optimiser: Literal["adamw", "muon"] = unless("adamw")
    learning_rate: float = Field(1e-3, gt=0)
    schedule: Literal["cosine", "constant"] = "cosine"
    warmup_share: float = Field(0.05, ge=0, lt=1)
    weight_decay: float = Field(0.01, ge=0)
    max_gradient_norm: float = Field(5.0, ge=0)
    max_weight_norm: float = Field(0.0, ge=0)
    masks: WindowMasks | None = unless(None)
    precision: WantedPrecision = "auto"
    early_stopping: bool = True
    patience: int | None = Field(None, ge=1)
    checkpoint_seconds: float = Field(300.0, ge=0, exclude=True)
    together: bool = Field(False, exclude=True)
    num_processes: int | None = Field(None, ge=1, exclude=True)
    device: str = "auto"

    def rate(self, step: int, num_steps: int) -> float:
        """Return the learning rate of a step (counted from 0) of ``num_steps``."""
        warmup = self.warmup_share * num_steps
        if step < warmup:
            return self.learning_rate * (step + 1) / (warmup + 1)
        if self.schedule == "constant":
            return self.learning_rate
        done = (step - warmup) / max(1.0, num_steps - warmup)
        return self.learning_rate * 0.5 * (1.0 + math.cos(math.pi * min(1.0, done)))

    def torch_device(self) -> torch.device:
        """Return the device to train on.

        Raises:
            ConfigError: When there is no such device here.
        """
        if self.device != "auto":
            return usable_device(self.device)
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def autocast_dtype(self) -> torch.dtype | None:
        """Return bfloat16 where autocast is to be used, else None."""
        half = usable_precision(self.precision, self.torch_device()) == "bf16"
        return torch.bfloat16 if half else None
