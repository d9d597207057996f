"""Threads that spin while they wait for each other made a student twenty times slower on a shared machine."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from tests.support.run_recipe import REPOSITORY


def _spins(**variables: str) -> set[str]:
    """Return how often the OpenMP of torch in ``asr-kd`` looks before it sleeps, as it says itself."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OMP", "GOMP"))}
    done = subprocess.run(
        [sys.executable, "-c", "from asr_kd.cli import main; main()", "version"],
        cwd=REPOSITORY,
        env={**environment, "OMP_DISPLAY_ENV": "VERBOSE", **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    found = re.findall(r"GOMP_SPINCOUNT = '(\d+)'", done.stderr)
    if not found:
        pytest.skip("torch's OpenMP is not GNU's here")
    return set(found)


def test_the_command_lets_waiting_threads_sleep_early() -> None:
    assert _spins() == {"3000"}


def test_what_a_user_set_stays() -> None:
    assert _spins(GOMP_SPINCOUNT="77") == {"77"}
    assert "3000" not in _spins(OMP_WAIT_POLICY="active")
