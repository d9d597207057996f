"""Devices by their names, refused in words where a machine has no such one."""

from __future__ import annotations

import torch

from asr_kd.errors import ConfigError


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
