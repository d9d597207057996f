"""Of targets of the code sampled, every net was told to be too far: the entropy of draws is far too small."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from asr_kd.am.checkpoint import AcousticModel, save_model
from asr_kd.cli.app import app
from asr_kd.distill.dense_code import Dense
from asr_kd.distill.divergence import split_divergence
from asr_kd.distill.sampled_code import Sampled
from asr_kd.distill.shard_set import open_shard_set
from asr_kd.distill.shard_writer import ShardSetWriter
from asr_kd.distill.sparse import CodeConfig
from tests.support.shard_sets import LENGTHS, facts, net, utterance

TEMPERATURE = 2.0


def labelled_by(teacher: AcousticModel, folder: Path, code: CodeConfig) -> Path:
    with ShardSetWriter(folder, facts(code=code, temperature=TEMPERATURE)) as writer:
        for number, utt_id in enumerate(LENGTHS):
            features, pdf_ids, _ = utterance(number, utt_id)
            log_q = (teacher.logits(features.numpy()) / TEMPERATURE).log_softmax(1)
            writer.add("train", utt_id, features, pdf_ids, log_q)
        writer.finish()
    return folder


def test_of_draws_the_cross_entropy_alone_is_told(tmp_path: Path) -> None:
    dense, sampled = (
        split_divergence(
            open_shard_set(labelled_by(net(1), tmp_path / code.name, code)), "train", net(1), 1000
        )
        for code in (Dense(), Sampled(k=8))
    )
    assert (sampled.entropy, sampled.divergence, sampled.agreement) == (None, None, None)
    assert sampled.cross_entropy == pytest.approx(dense.cross_entropy, rel=0.05)
    assert sampled.accuracy == dense.accuracy


def test_the_table_says_why(tmp_path: Path) -> None:
    model = net(1)
    save_model(tmp_path / "net", model.net, model.card)
    shards = labelled_by(model, tmp_path / "shards", Sampled(k=8))
    command = ["shards", "divergence", str(shards), str(tmp_path / "net"), "--split", "train"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    (row,) = [line.split("│")[1:-1] for line in done.output.splitlines() if line.startswith("│")]
    cells = [cell.strip() for cell in row]
    assert [cells[place] for place in (3, 5, 6)] == ["-", "-", "-"]
    assert float(cells[4]) > 1
    assert "the code sampled stores draws" in done.output
