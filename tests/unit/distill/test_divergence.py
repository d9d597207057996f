"""How far a net is from stored targets: nothing for the net that made them, by hand for another one."""

from __future__ import annotations

import math

import pytest
import torch
from typer.testing import CliRunner

from asr_kd.am.checkpoint import save_model
from asr_kd.cli.app import app
from asr_kd.distill.dense_code import Dense
from asr_kd.distill.divergence import split_divergence, target_entropy
from asr_kd.distill.shard_set import open_shard_set
from asr_kd.distill.shard_writer import ShardSetWriter
from asr_kd.distill.targets import SoftTargets
from asr_kd.errors import ShardError
from tests.support.shard_sets import facts, net, utterance

TEMPERATURE = 2.0


@pytest.fixture
def shards(tmp_path):
    """Two utterances that the first net labelled, the second without hard labels."""
    with ShardSetWriter(tmp_path / "shards", facts(code=Dense(), temperature=TEMPERATURE)) as writer:
        for number, utt_id in enumerate(("u.2", "u.4")):
            features, pdf_ids, _ = utterance(number, utt_id)
            log_q = (net(1).logits(features.numpy()) / TEMPERATURE).log_softmax(1)
            writer.add("train", utt_id, features, None if number else pdf_ids, log_q)
        writer.finish()
    return tmp_path / "shards"


def test_the_entropy_of_a_row_by_hand():
    rows = SoftTargets(
        torch.tensor([[0.5, 0.25], [1.0, 0.0]]), torch.tensor([[3, 1], [2, 2]]), torch.tensor([0.25, 0.0])
    )
    expected = torch.tensor([0.5 * math.log(2) + 0.5 * math.log(4), 0.0])
    torch.testing.assert_close(target_entropy(rows), expected)
    torch.testing.assert_close(
        target_entropy(SoftTargets(torch.full((1, 8), 1 / 8))), torch.tensor([math.log(8)])
    )


def test_the_net_that_made_the_targets_is_at_them(shards):
    found = split_divergence(open_shard_set(shards), "train", net(1), 1000)
    assert found.num_frames == 47
    assert found.divergence == pytest.approx(0, abs=1e-3)
    assert found.agreement == pytest.approx(1, abs=0.05)
    pdf_ids = utterance(0, "u.2")[1]
    best = net(1).logits(utterance(0, "u.2")[0].numpy()).argmax(1)
    assert found.accuracy == pytest.approx(float((best == pdf_ids).float().mean()))


def test_another_net_is_as_far_as_the_divergence_says(shards):
    found = split_divergence(open_shard_set(shards), "train", net(2), 1000)
    sums = 0.0
    for number, utt_id in enumerate(("u.2", "u.4")):
        features = utterance(number, utt_id)[0].numpy()
        log_q, log_p = ((net(seed).logits(features) / TEMPERATURE).log_softmax(1) for seed in (1, 2))
        sums += float((log_q.exp() * (log_q - log_p)).sum())
    assert found.divergence == pytest.approx(sums / 47, rel=0.02)
    assert found.divergence > 0.1
    assert found.agreement < 0.6


def test_no_more_utterances_than_the_frames_that_are_wanted(shards):
    assert split_divergence(open_shard_set(shards), "train", net(1), 5).num_frames in (17, 30)


def test_nets_of_other_senones_are_refused(shards):
    with pytest.raises(ShardError, match=r"tree is not the net's.*expected other.*got tr"):
        split_divergence(open_shard_set(shards), "train", net(1, "other"), 1000)


def test_the_command_prints_a_row_a_net_and_split(shards, tmp_path):
    for seed in (1, 2):
        model = net(seed)
        save_model(tmp_path / f"net-{seed}", model.net, model.card)
    models = [str(tmp_path / f"net-{seed}") for seed in (1, 2)]
    done = CliRunner().invoke(app, ["shards", "divergence", str(shards), *models, "--split", "train"])
    assert done.exit_code == 0, done.output
    rows = [line.split("│")[1:-1] for line in done.output.splitlines() if line.startswith("│")]
    assert [[cell.strip() for cell in row[:3]] for row in rows] == [
        ["net-1", "train", "47"],
        ["net-2", "train", "47"],
    ]
    assert float(rows[0][5]) == pytest.approx(0, abs=1e-3)
