"""Where results come from: command, commit, version and machine."""

from __future__ import annotations

import json
import os
import platform
import resource
import shlex
import subprocess
import sys
import time
from pathlib import Path

import torch

from asr_kd import __version__
from asr_kd.report.results import Provenance
from asr_kd.stages.base import WorkDir


def describe_run(recipe: str, profile: str, argv: list[str]) -> Provenance:
    """Describe this process, before it has done anything.

    Args:
        recipe: Its name.
        profile: Of the recipe.
        argv: The command as it was typed.
    """
    return Provenance(
        recipe=recipe,
        profile=profile,
        command=_command(argv),
        commit=_commit(),
        machine=_machine(),
        version=__version__,
        date=time.strftime("%Y-%m-%d"),
    )


def _command(argv: list[str]) -> str:
    program = Path(argv[0]).name
    # What ``python -m asr_kd``, and torchrun with it, calls itself.
    return shlex.join([*(["python", "-m", "asr_kd"] if program == "__main__.py" else [program]), *argv[1:]])


def with_run_facts(provenance: Provenance, work: WorkDir, seeds: dict[str, int]) -> Provenance:
    """Return a provenance with seeds, time, size and peak memory of the finished stages."""
    markers = [json.loads(path.read_text(encoding="utf-8")) for path in work.markers.glob("*.json")]
    markers.sort(key=lambda marker: marker["finished"])
    seconds = {marker["stage"]: marker["seconds"] for marker in markers}
    sizes = {
        marker["stage"]: sum(_size(work.root / output) for output in marker["outputs"]) for marker in markers
    }
    update = {
        "seeds": seeds,
        "stage_seconds": seconds,
        "stage_bytes": sizes,
        # Of the stages of earlier commands too; markers of before may lack it.
        "peak_memory_bytes": max(
            peak_memory_bytes(), *(marker.get("peak_memory_bytes", 0) for marker in markers)
        ),
    }
    return provenance.model_copy(update=update)


def _size(path: Path) -> int:
    """Return the bytes of a file, or of all files of a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def peak_memory_bytes() -> int:
    """Return the peak resident memory of this process or of its largest child."""
    unit = 1 if sys.platform == "darwin" else 1024
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return unit * max(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)


def _commit() -> str | None:
    """Return the commit of the checkout that asr_kd runs from, with ``+`` when it has changes."""
    path = Path(__file__).resolve()
    # Installed within somebody's checkout, it is no file of that one.
    if _git(path.parent, "ls-files", "--error-unmatch", path.name) is None:
        return None
    return _git(path.parent, "describe", "--always", "--dirty=+", "--exclude=*")


def _git(folder: Path, *arguments: str) -> str | None:
    """Return what git says, None where it fails or is not there."""
    try:
        found = subprocess.run(  # noqa: S603  # fixed commands
            ["git", *arguments],  # noqa: S607  # as it is found on the path
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip()


def _machine() -> str:
    accelerator = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = f"Python {platform.python_version()}, torch {torch.__version__}"
    return f"{_processor()}, {os.cpu_count()} cores, {memory:.0f} GiB{accelerator}, {versions}"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
