"""Runs a recipe's smoke profile in a process of its own, as a user would."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def run_recipe(recipe: str, work: Path, corpus: Path | None, *options: str) -> str:
    """Return what the run printed."""
    command = [sys.executable, "-c", "from asr_kd.cli import main; main()", "run", recipe]
    command += ["--profile", "smoke", "--work", str(work), *options]
    if corpus is not None:
        command += ["--corpus", str(corpus)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
