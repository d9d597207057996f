"""Results named the commit of a repository that asr_kd was installed in, and a command nobody can type."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from asr_kd.stages import provenance
from asr_kd.stages.provenance import describe_run


def test_is_not_the_commit_of_another_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = tmp_path / "site-packages" / "provenance.py"
    module.parent.mkdir()
    module.touch()
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q"], [*identity, "commit", "-q", "--allow-empty", "-m", "theirs"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    monkeypatch.setattr(provenance, "__file__", str(module))
    assert describe_run("r", "default", ["asr-kd", "run", "r"]).commit is None


def test_is_a_command_that_runs() -> None:
    typed = describe_run("r", "default", ["/x/asr_kd/__main__.py", "run", "r"]).command
    assert typed == "python -m asr_kd run r"
    assert describe_run("r", "default", ["/x/bin/asr-kd", "run", "r"]).command == "asr-kd run r"
