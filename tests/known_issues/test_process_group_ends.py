"""Ranks aborted now and then at their very end.

Threads of the process group outlived it and released tensors while the interpreter was ending: one run of
two ranks in about fifteen died of "terminate called without an active exception".
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.torchrun import torchrun


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads have no names here")
def test_threads_of_the_process_group_outlived_it(tmp_path: Path) -> None:
    done = torchrun(2, "tests.support.training_run", tmp_path, "hard", "epochs=1")
    assert done.returncode == 0, done.stderr
    for rank in (0, 1):
        names = json.loads((tmp_path / f"threads-{rank}.json").read_text())
        assert names
        assert not [name for name in names if "gloo" in name]
