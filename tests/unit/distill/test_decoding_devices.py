"""Bytes are decoded on any device, into the same values, and the device is waited for once.

There need not be a GPU: torch's meta device refuses calls that mix devices, and has no values to be read.
"""

from __future__ import annotations

import pytest
import torch

from asr_kd.data.windows import ContextWindow
from asr_kd.distill.apart import StoredMean
from asr_kd.distill.damage import Damage
from asr_kd.distill.dense_code import Dense, _exp_of_half
from asr_kd.distill.kept_code import Nucleus, Threshold, TopK
from asr_kd.distill.sampled_code import Sampled
from asr_kd.distill.shard_reader import ShardBatchSource
from asr_kd.distill.shard_set import open_shard_set
from asr_kd.distill.sparse import make_code
from asr_kd.distill.target_decoder import pool_device
from asr_kd.errors import ShardError
from tests.support.shard_sets import source, write

NUM_SENONES = 300
LENGTHS = [9, 1, 200, 33]
CODES = [
    Dense(),
    TopK(k=5, tail="renormalise"),
    Nucleus(p=0.8, k=9),
    Threshold(least=0.05, k=9, powers=(0.5,)),
    Sampled(k=6),
]
GPU = pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"))


class OtherDevice(Damage):
    """The processor, decoded on as a GPU is: nothing is read before the end."""

    def __init__(self):
        super().__init__("cpu")
        self.is_noted = True


def encoded(code):
    generator = torch.Generator().manual_seed(0)
    data = []
    for number, num_frames in enumerate(LENGTHS):
        lasting = torch.randn(num_frames // 5 + 1, NUM_SENONES, generator=generator).repeat_interleave(5, 0)
        noise = torch.randn(num_frames, NUM_SENONES, generator=generator)
        # Senones that last are stored as runs, others as rows.
        log_q = (2 * lasting[:num_frames] + (0.1 if number % 2 else 3.0) * noise).log_softmax(1)
        data.append(code.encode(log_q, str(number)))
    return data


@pytest.mark.parametrize("device", ["noted", GPU])
@pytest.mark.parametrize("config", CODES, ids=str)
def test_every_device_decodes_the_same_values(device, config):
    code = make_code(config, NUM_SENONES)
    data = encoded(code)
    if not isinstance(config, Dense | Sampled):
        assert {each[:1] for each in data} == {b"\0", b"\1"}
    for power in [power for power in (1.0, 0.5) if code.refusal(power) is None]:
        damage = OtherDevice() if device == "noted" else Damage(device)
        expected = code.decode_batch(data, LENGTHS, power).tensors()
        got = code.decode_batch(data, LENGTHS, power, damage).tensors()
        damage.finish()
        for name, tensor in expected.items():
            if isinstance(config, Dense) and power != 1:
                torch.testing.assert_close(got[name].cpu(), tensor)
            else:
                assert torch.equal(got[name].cpu(), tensor)


def test_the_table_of_dense_codes_holds_what_the_processor_computes():
    log_q = -torch.rand(10_001, generator=torch.Generator().manual_seed(0)).half() * 30
    looked_up = _exp_of_half()[log_q.view(torch.int16).long() & 0xFFFF]
    assert torch.equal(looked_up, log_q.exp())


@pytest.mark.parametrize("config", CODES, ids=str)
def test_decoding_stays_on_a_gpu_and_never_waits_for_it(config):
    code = make_code(config, NUM_SENONES)
    data = encoded(code)
    damage = Damage("meta")
    for part in code.decode_batch(data, LENGTHS, 1.0, damage).tensors().values():
        assert part.device.type == "meta"
        assert len(part) == sum(LENGTHS)
    if not isinstance(config, Dense):
        with pytest.raises((RuntimeError, NotImplementedError), match="meta"):
            damage.finish()


@pytest.mark.parametrize("config", CODES[1:], ids=str)
def test_damage_is_noted_and_harms_nothing(config):
    code = make_code(config, NUM_SENONES)
    (data,) = encoded(code)[2:3]
    found = 0
    for place in range(0, len(data), max(1, len(data) // 150)):
        damaged = bytearray(data)
        damaged[place] ^= 0x55
        damage = OtherDevice()
        try:
            soft = code.decode_batch([bytes(damaged)], [200], 1.0, damage)
        except ValueError:
            continue
        assert soft.ids is not None
        assert 0 <= int(soft.ids.min()) <= int(soft.ids.max()) < NUM_SENONES
        try:
            code.decode_batch([bytes(damaged)], [200])
        except ValueError as error:
            found += 1
            with pytest.raises(ValueError, match=str(error)):
                damage.finish()
        else:
            damage.finish()
    assert found > 0


@pytest.mark.parametrize("device", ["cpu", GPU])
@pytest.mark.parametrize("pool_frames", [40, 1000])
def test_batches_do_not_depend_on_the_device(tmp_path, device, pool_frames):
    write(tmp_path)
    plain = source(tmp_path, pool_frames=pool_frames).epoch(0)
    for ours, theirs in zip(
        source(tmp_path, pool_frames=pool_frames, device=device).epoch(0), plain, strict=True
    ):
        assert ours.windows.device.type == device
        assert torch.equal(ours.windows.cpu(), theirs.windows)
        for name, target in theirs.targets.items():
            assert torch.equal(ours.targets[name].cpu(), target)


def test_a_part_is_read_onto_a_gpu_without_leaving_it(tmp_path, monkeypatch):
    write(tmp_path)
    batches = source(tmp_path, device="meta")
    monkeypatch.setattr(Damage, "finish", lambda self: None)  # the only one that may wait
    pool = batches._pool(batches._read(0))
    batch = batches._gather(pool, torch.arange(5).to("meta"))
    assert {batch.windows.device.type, *(t.device.type for t in batch.targets.values())} == {"meta"}
    assert batch.windows.dtype == torch.float32


def test_damage_that_a_gpu_has_noted_names_its_utterance(tmp_path, monkeypatch):
    write(tmp_path)
    shard_set = open_shard_set(tmp_path)
    batches = ShardBatchSource(shard_set, ["train"], 8, ContextWindow(0, 0))
    shard = shard_set.shards(["train"])[0]
    utterances = list(shard_set.read(shard))
    code = shard_set.code
    original = type(code).decode_batch

    def damaged(self, data, lengths, power=1.0, damage=None):
        if bytes(utterances[1].targets) in [bytes(each) for each in data]:
            damage.refuse(torch.tensor([True]), "a broken level")
        return original(self, data, lengths, power, damage)

    monkeypatch.setattr(type(code), "decode_batch", damaged)
    monkeypatch.setattr("asr_kd.distill.shard_reader.Damage", lambda device: OtherDevice())
    with pytest.raises(
        ShardError, match=f"{utterances[1].utt_id}: targets cannot be decoded: a broken level"
    ):
        list(batches.epoch(0))


def test_a_pool_goes_where_the_student_is_when_it_fits(tmp_path, monkeypatch):
    write(tmp_path)
    shard_set = open_shard_set(tmp_path)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, free))
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 3)
    # 40 frames of 3 float16 features, a pdf_id and 4 kept senones of 6 bytes, twice; they may take a quarter.
    free = 4 * 2 * 40 * (6 + 4 + 24)
    assert pool_device(shard_set, ["train"], 40, torch.device("cuda")) == torch.device("cuda:3")
    assert pool_device(shard_set, ["train"], 40, torch.device("cuda:1")) == torch.device("cuda:1")
    assert pool_device(shard_set, ["train"], 40, torch.device("cpu")) == torch.device("cpu")
    free -= 1
    assert pool_device(shard_set, ["train"], 40, torch.device("cuda")) == torch.device("cpu")


def test_teachers_apart_are_averaged_on_the_device(tmp_path):
    code = make_code(Dense(), NUM_SENONES)
    data = encoded(code)
    header = write_header(tmp_path)
    mean = StoredMean(header, (0, 1), (0.5, 0.5))
    soft = mean.decode(code, [(each, each) for each in data], LENGTHS, 1.0, Damage("meta"))
    assert soft.probs.device.type == "meta"


def write_header(folder):
    write(folder)
    return open_shard_set(folder).header
