"""The ensemble stage over processes: the same bytes whatever their number, after a kill too."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from asr_kd.distill.shard_set import open_shard_set
from asr_kd.distill.shard_writer import ShardSetWriter
from asr_kd.pipeline import Pipeline
from asr_kd.stages import labelling
from asr_kd.stages.base import WorkDir
from asr_kd.stages.labelling import batches
from tests.support.tones import tones_pipeline, tones_recipe

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = (
    "corpus.options.utterances=4",
    "train.epochs=1",
    "views.count=1",
    "views.augment.speeds=[0.9, 1.1]",
    "ensemble.shard_frames=150",
    "ensemble.further={sharp: {temperature: 1.0, code: {name: topk, k: 5}}}",
)


def _pipeline(work: Path, *overrides: str) -> Pipeline:
    return tones_pipeline(work.parent / "recipe", work, *SETTINGS, *overrides)


def _label(work: Path, num_processes: int) -> None:
    pipeline = _pipeline(work, f"ensemble.num_processes={num_processes}")
    pipeline.run("ensemble", "ensemble")


def _bytes(work: Path) -> dict[str, bytes]:
    # A file whose name begins with a dot is one that a kill left half-written.
    files = [*(work / "shards").glob("[!.]*"), *(work / "shards-sharp").glob("[!.]*")]
    return {f"{path.parent.name}/{path.name}": path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    work = tmp_path_factory.mktemp("trained") / "work"
    _pipeline(work).run(to_stage="baseline")
    return work


@pytest.fixture(scope="module")
def labelled(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    work = tmp_path_factory.mktemp("labelled") / "work"
    shutil.copytree(trained, work)
    _label(work, 1)
    shard_set = open_shard_set(work / "shards")
    shard_set.verify()
    assert shard_set.header.temperature == 2
    further = open_shard_set(WorkDir(work).further_shards("sharp"))
    further.verify()
    assert further.header.temperature == 1
    assert further.header.num_frames(("train", "dev")) == shard_set.header.num_frames(("train", "dev"))
    return _bytes(work)


@pytest.fixture
def work(trained: Path, tmp_path: Path) -> Path:
    shutil.copytree(trained, tmp_path / "work")
    return tmp_path / "work"


def test_two_processes_write_the_bytes_of_one(work: Path, labelled: dict[str, bytes]) -> None:
    _label(work, 2)
    assert _bytes(work) == labelled


@pytest.mark.parametrize("num_processes", [1, 2])
def test_what_is_chosen_here_and_packed_in_processes_has_the_same_bytes(
    work: Path, labelled: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, num_processes: int
) -> None:
    monkeypatch.setattr(labelling, "_is_gpu", lambda device: True)
    _label(work, num_processes)
    assert _bytes(work) == labelled


@pytest.mark.parametrize("num_written", [1, 17])
def test_a_broken_off_run_resumes_to_the_same_bytes(
    work: Path, labelled: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, num_written: int
) -> None:
    add = ShardSetWriter.add_coded
    calls: list[int] = []

    def broken(*arguments: object) -> None:
        if len(calls) == num_written:
            raise KeyboardInterrupt
        calls.append(1)
        add(*arguments)  # type: ignore[arg-type]  # as they came

    with monkeypatch.context() as patch:
        patch.setattr(ShardSetWriter, "add_coded", broken)
        with pytest.raises(KeyboardInterrupt):
            _label(work, 1)
    _label(work, 1)
    assert _bytes(work) == labelled


def test_a_killed_run_over_processes_resumes_to_the_same_bytes(
    work: Path, labelled: dict[str, bytes]
) -> None:
    settings = [part for each in (*SETTINGS, "ensemble.num_processes=2") for part in ("--set", each)]
    command = ["-m", "asr_kd", "run", str(tones_recipe(work.parent / "recipe")), "--work", str(work)]
    process = subprocess.Popen(
        [sys.executable, *command, "--from-stage", "ensemble", "--to-stage", "ensemble", *settings],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.DEVNULL,
    )
    while not list((work / "shards").glob("train-*.json")) and process.poll() is None:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    for name, data in _bytes(work).items():
        if name.endswith(".tar"):
            assert labelled[name] == data
    assert not (work / "shards" / "header.json").exists()
    _label(work, 2)
    assert _bytes(work) == labelled


def test_only_what_is_lacking_is_labelled(
    work: Path, labelled: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    _label(work, 1)
    (work / "shards" / "header.json").unlink()
    (work / "shards" / "dev-000000.json").unlink()
    tasks = []
    original = labelling.LabelWorker.__call__
    monkeypatch.setattr(
        labelling.LabelWorker, "__call__", lambda self, task: tasks.append(task) or original(self, task)
    )
    _label(work, 1)
    assert {key.partition("-")[0] for task in tasks for key in task.keys} == {"s5"}  # dev's speaker
    assert _bytes(work) == labelled


def test_batches_are_consecutive_and_full() -> None:
    assert list(batches([5, 5, 1, 20, 3], 10)) == [slice(0, 2), slice(2, 4), slice(4, 5)]
    assert list(batches([], 10)) == []
    assert list(batches([10], 10)) == [slice(0, 1)]
