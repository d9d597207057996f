"""Devices by their names, refused in words where there is no such one, and the precision they multiply in."""

from __future__ import annotations

from typing import Literal

import torch

from asr_kd.errors import ConfigError
from asr_kd.progress import say

Precision = Literal["fp32", "bf16"]
"""Of matrix products: float32 or bfloat16."""

WantedPrecision = Literal["auto", "fp32", "bf16"]
"""``auto`` takes bfloat16 where the processor multiplies it natively, float32 elsewhere."""


def usable_device(name: str) -> torch.device:
    """Return the device of a name such as ``cpu``, ``cuda`` or ``cuda:1``.

    Raises:
        ConfigError: When there is no such device, or this build of torch does not know it.
    """
    try:
        torch.empty(1, device=name)
        return torch.device(name)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ConfigError(
            f"no device {name} is usable here: {reason}",
            expected="auto, cpu, or a GPU that torch sees",
            got=name,
            hint="leave the device out, or install torch's build for this GPU",
        ) from None


def usable_precision(wanted: WantedPrecision, device: torch.device) -> Precision:
    """Return the precision that is meant on a device."""
    if wanted != "auto":
        return wanted
    return "bf16" if has_native_bf16(device) else "fp32"


def has_native_bf16(device: torch.device) -> bool:
    """Return whether a device multiplies bfloat16 by itself; elsewhere such products are emulated."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return bool(torch.cpu._is_avx512_bf16_supported())


def warn_of_emulation(wanted: WantedPrecision, device: torch.device, setting: str) -> None:
    """Say so when a setting asks for products that the device would emulate."""
    if wanted == "bf16" and not has_native_bf16(device):
        say(f"{setting}: this processor emulates bf16, at a hundredth of the speed of fp32; auto takes fp32")
