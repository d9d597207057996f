"""The dense code: the reference that the others are measured against."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from asr_kd.distill.targets import SoftTargets


class Dense(BaseModel):
    """Every senone's log posterior in float16: q is off by at most ``|log q| / 2^11`` of itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Literal["dense"] = "dense"


class DenseCode:
    """Encodes ``[T, S]`` in 2 S bytes a frame."""

    def __init__(self, config: Dense, num_senones: int) -> None:
        self.config = config
        self.num_senones = num_senones

    @property
    def max_kept(self) -> int:
        """Columns of the decoded targets."""
        return self.num_senones

    def encode(self, log_q: Tensor, key: str) -> bytes:
        """Return the bytes of log posteriors ``[T, S]``."""
        # Below float16's least number log 0 would be written, and 0 * log 0 is no number in a divergence.
        least = torch.finfo(torch.float16).min
        return log_q.float().clamp_min(least).half().cpu().contiguous().numpy().tobytes()

    def refusal(self, power: float) -> str | None:
        """Return why posteriors cannot be decoded at a power: they always can."""
        return None

    def decode(self, data: bytes, num_frames: int, power: float = 1.0) -> SoftTargets:
        """Return dense targets, float16 ``[T, S]``."""
        log_q = self.log_posteriors(data, num_frames)
        probs = log_q.exp_() if power == 1 else torch.softmax(power * log_q, dim=1)
        return SoftTargets(probs.half())

    def log_posteriors(self, data: bytes, num_frames: int) -> Tensor:
        """Return the log posteriors themselves, float32 ``[T, S]``; as probabilities small ones would be 0.

        Raises:
            ValueError: When the bytes are not those of ``num_frames`` frames.
        """
        if len(data) != 2 * num_frames * self.num_senones:
            raise ValueError(f"{2 * num_frames * self.num_senones} bytes expected, got {len(data)}")
        log_q = torch.from_numpy(np.frombuffer(data, dtype=np.float16).astype(np.float32))
        return log_q.reshape(num_frames, self.num_senones)
