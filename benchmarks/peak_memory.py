"""Peak memory of this process on Linux."""

from __future__ import annotations

from pathlib import Path


def peak_mib() -> float:
    """Return the peak resident memory in MiB; ``getrusage`` would give the parent's if that is larger."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
