"""Utterances are decoded together: the same values as one by one, damage named, checksums taken once."""

from __future__ import annotations

import json
import os

import pytest
import torch

from asr_kd.data.shards import read_shard_data
from asr_kd.data.windows import ContextWindow
from asr_kd.distill.dense_code import Dense
from asr_kd.distill.kept_code import Nucleus, Threshold, TopK
from asr_kd.distill.sampled_code import Sampled
from asr_kd.distill.shard_reader import ShardBatchSource
from asr_kd.distill.shard_set import open_shard_set
from asr_kd.distill.shard_writer import ShardSetWriter
from asr_kd.distill.sparse import make_code
from asr_kd.errors import ShardError
from asr_kd.fingerprint import file_sha256
from tests.support.shard_sets import facts

NUM_SENONES = 30
LENGTHS = [9, 1, 200, 33]


def log_posteriors(seed, num_frames):
    generator = torch.Generator().manual_seed(seed)
    lasting = torch.randn(num_frames // 5 + 1, NUM_SENONES, generator=generator).repeat_interleave(5, 0)
    noise = torch.randn(num_frames, NUM_SENONES, generator=generator)
    return (2 * lasting[:num_frames] + (0.1 if seed % 2 else 2.0) * noise).log_softmax(1)


def write(folder):
    the_facts = facts(
        teachers=("aa",),
        feature_dim=2,
        num_senones=NUM_SENONES,
        prior=(1 / NUM_SENONES,) * NUM_SENONES,
        window={"left": 1, "right": 1},
    )
    with ShardSetWriter(folder, the_facts) as writer:
        for seed, num_frames in enumerate(LENGTHS):
            labels = torch.zeros(num_frames, dtype=torch.int32)
            features = torch.ones(num_frames, 2)
            writer.add("train", f"u{seed}", features, labels, log_posteriors(seed, num_frames))
        writer.finish()


def epoch(shard_set):
    return list(ShardBatchSource(shard_set, ["train"], 64, ContextWindow(1, 1)).epoch(0))


@pytest.mark.parametrize(
    "config",
    [Dense(), TopK(k=5), Nucleus(p=0.8, k=9), Threshold(least=0.05, k=9, powers=(0.5,)), Sampled(k=6)],
    ids=str,
)
def test_utterances_decoded_together_have_the_values_of_each_alone(config):
    code = make_code(config, NUM_SENONES)
    data = [code.encode(log_posteriors(seed, count), f"{seed}") for seed, count in enumerate(LENGTHS)]
    for power in [power for power in (1.0, 0.5) if code.refusal(power) is None]:
        together = code.decode_batch(data, LENGTHS, power)
        first = 0
        for each, count in zip(data, LENGTHS, strict=True):
            alone, rows = code.decode(each, count, power), together.rows(slice(first, first + count))
            for name, tensor in alone.tensors().items():
                assert torch.equal(rows.tensors()[name], tensor)
            first += count
    with pytest.raises(ValueError, match=r".+"):
        code.decode_batch(data, [LENGTHS[0] + 1, *LENGTHS[1:]])


def test_damaged_targets_name_their_utterance(tmp_path):
    write(tmp_path)
    path = tmp_path / "train-000000.tar"
    shard = bytearray(path.read_bytes())
    targets = {sample.key: sample.parts["targets"] for sample in read_shard_data(memoryview(shard), "a.tar")}
    targets["u2"][:40] = bytes(40)
    path.write_bytes(shard)
    header = json.loads((tmp_path / "header.json").read_text())
    header["splits"]["train"][0]["sha256"] = file_sha256(path)
    (tmp_path / "header.json").write_text(json.dumps(header))
    with pytest.raises(ShardError, match=r"u2: targets cannot be decoded"):
        epoch(open_shard_set(tmp_path))


def test_a_checksum_is_taken_again_when_the_file_has_changed(tmp_path, monkeypatch):
    write(tmp_path)
    shard_set = open_shard_set(tmp_path)
    digests = []
    original = __import__("hashlib").sha256
    monkeypatch.setattr("hashlib.sha256", lambda data: digests.append(1) or original(data))
    for _ in range(3):
        epoch(shard_set)
    assert len(digests) == 1
    shard_set.verify()
    assert len(digests) == 2
    path = tmp_path / "train-000000.tar"
    shard = bytearray(path.read_bytes())
    shard[600] ^= 1
    path.write_bytes(shard)
    os.utime(path, ns=(1, 1))
    with pytest.raises(ShardError, match="not the shard that the header names"):
        epoch(shard_set)
