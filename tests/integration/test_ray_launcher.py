"""Nets and decoding as tasks of a real Ray cluster of this machine."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from asr_kd.errors import StageError
from asr_kd.train.launcher import LauncherName, RayCluster, cluster, launcher
from asr_kd.train.parallel import run_in_turn, run_side_by_side
from tests.support.tones import tones_pipeline
from tests.support.training_run import killed_once

pytest.importorskip("ray", reason="the package ray is not installed")


@pytest.fixture(scope="module")
def ray_cluster() -> Iterator[RayCluster]:
    """A cluster of this machine's cores, whatever other cluster there is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_ADDRESS", "local")
        # Else Ray would write a token of its own into the home folder.
        patch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
        with launcher(LauncherName.RAY):
            found = cluster()
            assert found is not None
            yield found
        assert cluster() is None


def test_a_net_whose_process_is_killed_is_trained_again_to_the_same_bits(
    ray_cluster: RayCluster, tmp_path: Path
) -> None:
    tasks = [(tmp_path / name, name, die_at) for name, die_at in (("soft", 30), ("hard", None))]
    found = run_side_by_side(killed_once, tasks)
    for (weights, steps), (_, name, die_at) in zip(found, tasks, strict=True):
        whole, whole_steps = killed_once(tmp_path / f"{name}-here", name, None)
        assert len(steps) == 51 - (die_at or 0)
        assert steps == whole_steps[-len(steps) :]
        assert len(weights) == len(whole) > 0
        assert all(map(np.array_equal, weights, whole))


def test_tasks_run_elsewhere_in_the_folder_of_the_run(ray_cluster: RayCluster) -> None:
    assert set(run_in_turn(os.getcwd, [(), ()], cores=1)) == {os.getcwd()}
    assert os.getpid() not in run_in_turn(os.getpid, [(), ()], cores=1)


def _fail(what: str) -> None:
    raise StageError(what, where="net-2", hint="lower the rate")


def test_error_of_a_task_keeps_its_line(ray_cluster: RayCluster) -> None:
    with pytest.raises(StageError, match=r"^net-2: the loss is not finite; lower the rate$"):
        run_side_by_side(_fail, [("the loss is not finite",)])


def test_systems_decoded_on_the_cluster_say_what_they_say_here(
    ray_cluster: RayCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ("corpus.options.utterances=4", "train.epochs=1", "student.train.epochs=1", "baseline.count=1")
    pipeline = tones_pipeline(tmp_path, tmp_path / "work", *settings)
    with monkeypatch.context() as patch:
        patch.setattr("asr_kd.train.launcher._cluster", None)
        pipeline.run(to_stage="decode")
    before = _hypotheses(tmp_path / "work" / "decode")
    assert len(before) == 4
    calls: list[int] = []
    original = RayCluster.run
    monkeypatch.setattr(
        RayCluster, "run", lambda self, *rest: (calls.append(len(rest[1])), original(self, *rest))[1]
    )
    pipeline.run("decode", "decode", force=True)
    assert calls == [4]
    assert _hypotheses(tmp_path / "work" / "decode") == before


def _hypotheses(folder: Path) -> dict[str, str]:
    return {path.parent.name: path.read_text() for path in sorted(folder.glob("*/test.txt"))}
