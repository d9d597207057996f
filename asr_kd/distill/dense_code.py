"""The dense code: the reference that the others are measured against."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from asr_kd.distill.bits import Data
from asr_kd.distill.damage import Damage
from asr_kd.distill.row_encoder import RowEncoder, WholeRows
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

    def rows(self) -> RowEncoder:
        """Return an encoder of the rows of several utterances."""
        return WholeRows(self.encode)

    def refusal(self, power: float) -> str | None:
        """Return why posteriors cannot be decoded at a power: they always can."""
        return None

    def decode(self, data: Data, num_frames: int, power: float = 1.0) -> SoftTargets:
        """Return dense targets, float16 ``[T, S]``."""
        return self.decode_batch([data], [num_frames], power)

    def decode_batch(
        self,
        data: Sequence[Data],
        lengths: Sequence[int],
        power: float = 1.0,
        damage: Damage | None = None,
    ) -> SoftTargets:
        """Return the targets of several utterances, one after another."""
        device = torch.device("cpu") if damage is None else damage.device
        probs = torch.empty(sum(lengths), self.num_senones, dtype=torch.float16, device=device)
        # On a GPU exp is looked up, for it would round otherwise than the processor's.
        table = None if device.type == "cpu" or power != 1 else _exp_of_half().to(device)
        for each, rows in zip(data, torch.split(probs, list(lengths)), strict=True):
            log_q = self._stored(each, len(rows)).to(device)
            if table is not None:
                bits = log_q.view(torch.int16).int() & 0xFFFF
                rows.copy_(table.index_select(0, bits.reshape(-1)).view_as(rows))
            elif power == 1:
                torch.exp(log_q, out=rows)
            else:
                rows.copy_(torch.softmax(power * log_q.float(), dim=1))
        return SoftTargets(probs)

    def log_posteriors(
        self, data: Sequence[Data], lengths: Sequence[int], device: torch.device | str = "cpu"
    ) -> Tensor:
        """Return the log posteriors of several utterances, float32 ``[T, S]``, the smallest ones too.

        Raises:
            ValueError: When the bytes are not those of so many frames.
        """
        log_q = torch.empty(sum(lengths), self.num_senones, device=device)
        for each, rows in zip(data, torch.split(log_q, list(lengths)), strict=True):
            rows.copy_(self._stored(each, len(rows)))
        return log_q

    def _stored(self, data: Data, num_frames: int) -> Tensor:
        """Return one utterance's log posteriors as they are stored, float16 ``[T, S]``."""
        num_bytes = 2 * num_frames * self.num_senones
        if len(data) != num_bytes:
            raise ValueError(f"{num_bytes} bytes expected, got {len(data)}")
        values = np.frombuffer(data, dtype=np.float16)
        # torch takes no read-only memory.
        log_q = torch.from_numpy(values if values.flags.writeable else values.copy())
        return log_q.reshape(num_frames, self.num_senones)


def _exp_of_half() -> Tensor:
    """Return the exponential of each number of 16 bits, float16 ``[2^16]``."""
    bits = torch.arange(2**16, dtype=torch.int32).to(torch.int16)
    return bits.view(torch.float16).exp()
