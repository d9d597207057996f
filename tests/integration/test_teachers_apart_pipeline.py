"""A pipeline that keeps its teachers apart, a student of one of them, and the gain drawn from the shards."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from asr_kd.am.checkpoint import read_card
from asr_kd.cli.app import app
from asr_kd.distill.shard_set import open_shard_set
from asr_kd.errors import ShardError
from asr_kd.pipeline import Pipeline
from asr_kd.report.results import read_results
from asr_kd.stages.base import WorkDir
from asr_kd.stages.ensemble import writing_order
from asr_kd.stages.report import PAGE_FILE
from asr_kd.stages.score import RESULTS_FILE
from tests.support.tones import tones_pipeline

BASE = ("corpus.options.utterances=4", "train.epochs=1", "student.train.epochs=1", "ensemble.keep_apart=true")


def _pipeline(work: Path, *overrides: str) -> Pipeline:
    return tones_pipeline(work.parent / "recipe", work, *BASE, *overrides)


def test_a_student_of_one_stored_teacher(tmp_path: Path) -> None:
    work = WorkDir(tmp_path / "work")
    _pipeline(work.root, "student.teachers=1").run()
    shard_set = open_shard_set(work.shards)
    assert shard_set.header.keep_apart
    shard_set.verify()
    stored = [utt.utt_id for shard in shard_set.shards(["train"]) for utt in shard_set.read(shard)]
    corpus = [row.utt_id for row in work.utterances("train")]
    assert stored == writing_order(corpus, 0, "train", "")
    assert stored != corpus
    assert read_card(work.models / "student-01").provenance["loss"]["teachers"] == 1
    done = CliRunner().invoke(app, ["shards", "teachers", str(work.shards)])
    assert done.exit_code == 0, done.output
    assert "stored mean" in done.output
    (gain,) = read_results(work.root / RESULTS_FILE).teacher_gain
    assert gain.num_teachers == (1, 2)
    ensemble = read_results(work.root / RESULTS_FILE).row("ensemble", "dev")
    assert ensemble.frame_accuracy is not None
    # The stored posteriors are those at T = 2 and in a code, decoding has them at T = 1.
    assert gain.accuracy[-1] == pytest.approx(ensemble.frame_accuracy.mean, abs=0.03)
    assert "Number of teachers, dev" in (work.root / PAGE_FILE).read_text(encoding="utf-8")
    with pytest.raises(ShardError, match="no such choice of teachers"):
        _pipeline(work.root, "student.teachers=3").run("student", "student", force=True)


def test_the_writing_order_by_seed() -> None:
    utt_ids = [f"u{number}" for number in range(50)]
    assert writing_order(utt_ids, None, "train", "") == utt_ids
    order = writing_order(utt_ids, 0, "train", "")
    assert sorted(order) == sorted(utt_ids)
    assert order == writing_order(utt_ids[::-1], 0, "train", "")
    others = [(1, "train", ""), (0, "dev", ""), (0, "train", "view1")]
    assert all(writing_order(utt_ids, *other) != order for other in others)
    # sha256 fixes the order on every machine.
    assert order[:3] == ["u20", "u30", "u44"]
