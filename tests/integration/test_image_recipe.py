"""A recipe of kind images over idx files that the test makes: five stages, resumable, as a user runs them."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from asr_kd.am.checkpoint import load_model
from asr_kd.config import load_any_recipe
from asr_kd.distill.dense_code import Dense, DenseCode
from asr_kd.distill.shard_set import open_shard_set
from asr_kd.distill.targets import dense_posteriors
from asr_kd.errors import ConfigError, ShardError, StageError
from asr_kd.experiment import open_pipeline
from asr_kd.pipeline import Pipeline, State
from asr_kd.report.error_results import read_error_results
from asr_kd.report.results import Provenance
from asr_kd.stages.images.ensemble import class_split, transfer_splits
from tests.support.idx_corpus import write_corpus

RECIPE = """\
kind: images
name: bars
description: Bars in noise.
corpus: {module: mnist, options: {num_dev: 100}}
teachers:
  count: 1
  max_shift: 1
  model: {options: {hidden_layers: 1, units: 32, dropout: 0.2}}
  train: {epochs: 20, batch_size: 50, learning_rate: 0.01, max_weight_norm: 3.0}
ensemble: {temperature: 4, views: 2, max_shift: 1}
model: {options: {hidden_layers: 1, units: 16, dropout: 0.0}}
train: {epochs: 20, batch_size: 50, learning_rate: 0.01, early_stopping: false}
students:
  - {name: plain, soft_weight: 0, hard_weight: 1, paper: 146}
  - {name: matched, loss: logit_matching, hard_weight: 0}
  - {name: without-3, hard_weight: 0, without: [3], correct: [3], count: 2}
  - {name: moved, hard_weight: 0, views: 2, train: {epochs: 10}}
grids:
  - {name: narrow, hard_weight: 0, units: [4], temperatures: [1, 8]}
"""


@pytest.fixture(autouse=True)
def in_one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Starting processes takes longer than training these nets, and so does waiting for threads."""
    monkeypatch.setattr("asr_kd.train.parallel.default_jobs", lambda num_tasks: 1)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def pipeline(folder: Path, *overrides: str) -> Pipeline:
    (folder / "recipe.yaml").write_text(RECIPE)
    recipe = load_any_recipe(folder, overrides=overrides)
    provenance = Provenance(recipe="bars", profile="default", command="asr-kd run bars", machine="a test")
    corpus = folder / "corpus"
    if not corpus.is_dir():
        write_corpus(corpus)
    return open_pipeline(recipe, folder, folder / "work", corpus, provenance)


def test_five_stages_then_nothing_left_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = pipeline(tmp_path)
    assert [stage.name for stage in run.stages] == ["prepare", "teachers", "ensemble", "students", "score"]
    run.run()
    results = read_error_results(tmp_path / "work" / "results.json")
    assert [row.system for row in results.rows] == [
        "teacher",
        "plain",
        "matched",
        "without-3",
        "moved",
        "narrow-4-T1",
        "narrow-4-T8",
    ]
    # Of 100 images; guessing would be wrong 90 times.
    assert results.row("teacher").errors[0] < 15
    assert results.row("plain").errors[0] < 30
    assert results.row("matched").errors[0] < 15
    assert results.row("matched").temperature is None
    assert results.row("moved").errors[0] < 15
    assert results.row("narrow-4-T8").temperature == 8
    without = results.row("without-3")
    assert without.seeds == (101, 102)
    assert without.errors_on_missing == (10, 10)
    assert sum(without.corrected_on_missing) < 10
    assert sum(without.corrected) < sum(without.errors)
    _check_shards(tmp_path / "work" / "shards")
    for status in pipeline(tmp_path).status():
        assert status.state is State.DONE
    capsys.readouterr()
    pipeline(tmp_path).run()
    assert capsys.readouterr().err.count("done before, skipped") == 5


def _check_shards(folder: Path) -> None:
    """One split a class and view, so that a transfer set without a class reads none of its images."""
    shards = open_shard_set(folder)
    views = [class_split(label, view) for label in range(10) for view in range(3)]
    assert sorted(shards.header.splits) == sorted([*views, "dev"])
    shards.verify()
    teacher = load_model(folder.parent / "models" / "teacher-01")
    code = DenseCode(Dense(), 10)
    seen = []
    for view in range(3):
        for utterance in shards.read(shards.shards([class_split(3, view)])[0]):
            assert set(utterance.pdf_ids.tolist()) == {3}
            # The labels are those of the very image that is stored.
            logits = teacher.logits(utterance.features.astype(np.float32))
            stored = dense_posteriors(code.decode(utterance.targets, len(utterance)), 10)
            assert torch.allclose(stored, torch.softmax(logits / 4, 1), atol=2e-3)
            seen.append(utterance.features.astype(np.float32))
    plain, first, second = (_images(each) for each in seen)
    assert not np.array_equal(first, second)
    for moved in (first, second):
        shifts = [_shift(image, original) for image, original in zip(moved, plain, strict=True)]
        assert len(set(shifts)) > 3


def _images(frames: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    side = math.isqrt(frames.shape[1])
    return frames.reshape(len(frames), side, side)


def _shift(image: np.ndarray[Any, Any], original: np.ndarray[Any, Any]) -> tuple[int, int]:
    """Return by how many pixels an image was moved; the edge, where something came in, may differ."""
    inner = np.s_[1:-1, 1:-1]
    return next(
        (down, right)
        for down, right in itertools.product((-1, 0, 1), repeat=2)
        if np.array_equal(np.roll(original, (down, right), (0, 1))[inner], image[inner])
    )


def test_a_student_has_no_more_views_than_were_labelled(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"moved has 2 views, but ensemble\.views is 1"):
        pipeline(tmp_path, "ensemble.views=1")


def test_transfer_splits() -> None:
    assert transfer_splits(3, (), (1,), 1) == ["class0", "class2", "class0-view1", "class2-view1"]
    assert transfer_splits(4, (3, 2), ()) == ["class2", "class3"]


def test_a_change_is_stale_and_named_and_another_student_leaves_the_teachers_alone(tmp_path: Path) -> None:
    pipeline(tmp_path).run(to_stage="ensemble")
    changed = pipeline(tmp_path, "ensemble.temperature=2")
    with pytest.raises(StageError, match=r"ensemble\.temperature was 4.0, is 2.0"):
        changed.run(to_stage="ensemble")
    states = {status.stage.name: status.state for status in pipeline(tmp_path, "train.epochs=3").status()}
    assert states["teachers"] is State.DONE
    assert states["ensemble"] is State.DONE
    assert states["students"] is State.TODO


def test_logit_matching_is_refused_where_several_teachers_are_averaged(tmp_path: Path) -> None:
    two = ("teachers.count=2", "ensemble.num_teachers=2", "teachers.train.epochs=1")
    with pytest.raises(
        ShardError, match=r"student matched\.loss: logits cannot be had: the arithmetic mean of 2 teachers"
    ):
        pipeline(tmp_path, *two)
    pipeline(tmp_path, *two, "students=[{name: plain}]", "grids=[]").run(to_stage="ensemble")
    marker = json.loads((tmp_path / "work" / "stages" / "ensemble.json").read_text())
    assert marker["summary"]["images"] == "1,000"  # With two views of each of 300.
