"""What is found wrong in stored bytes while they are decoded, on the processor or on a GPU."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from asr_kd.distill.bits import Array


class Damage:
    """Refuses damaged values: at once on the processor; on a GPU later, for it is not waited for in between.

    Args:
        device: Where is decoded.

    Attributes:
        device: The same.
        is_noted: Whether decoding goes on after damage, and so has to stay within its tensors.
    """

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self.is_noted = self.device.type != "cpu"
        self._noted: list[tuple[Tensor, str]] = []

    def refuse(self, is_damaged: Tensor, reason: str) -> None:
        """Refuse values when some of ``is_damaged`` is true.

        Raises:
            ValueError: With the reason, on the processor.
        """
        if self.is_noted:
            self._noted.append((is_damaged.any(), reason))
        elif bool(is_damaged.any()):
            raise ValueError(reason)

    def finish(self) -> None:
        """Wait for the GPU and refuse what was found.

        Raises:
            ValueError: With the first reason.
        """
        if not self._noted:
            return
        found = torch.stack([is_damaged for is_damaged, _ in self._noted]).tolist()
        reasons = [reason for (_, reason), is_found in zip(self._noted, found, strict=True) if is_found]
        self._noted.clear()
        if reasons:
            raise ValueError(reasons[0])

    def moved(self, arrays: Sequence[Array]) -> Tensor:
        """Return some arrays as one tensor on the device."""
        return torch.from_numpy(np.concatenate(arrays)).to(self.device, non_blocking=True)
