"""Bits, streams and runs come back as they were; damage is noticed."""

from __future__ import annotations

import pytest
import torch

from asr_kd.distill.bits import bits_needed, pack_bits, packed_bytes, unpack_bits
from asr_kd.distill.compress import compress, decompress
from asr_kd.distill.runs import Entries, pack_runs, unpack_runs
from asr_kd.distill.streams import pack_streams, unpack_streams


def test_bits_needed_by_hand():
    assert [bits_needed(count) for count in (1, 2, 3, 4, 5, 256, 257, 14_000)] == [1, 1, 2, 2, 3, 8, 9, 14]


@pytest.mark.parametrize("width", [1, 3, 7, 8, 9, 14, 16, 17, 31])
@pytest.mark.parametrize("count", [0, 1, 7, 1000])
def test_bits_come_back(width, count):
    values = torch.randint(2**width, (count,), generator=torch.Generator().manual_seed(width))
    values[:1] = 2**width - 1
    packed = pack_bits(values, width)
    assert len(packed) == packed_bytes(count, width)
    assert unpack_bits(packed, count, width).tolist() == values.tolist()


def test_packed_bits_by_hand():
    # Ten bits each: the low bytes 1 and 2, then the high pairs 3 and 1, lowest bit first.
    assert pack_bits(torch.tensor([0x301, 0x102]), 10).tolist() == [1, 2, 0b0111]


@pytest.mark.parametrize("data", [b"", b"abc", b"a" * 1000])
def test_compression_never_grows_by_more_than_a_byte(data):
    packed = compress(data)
    assert len(packed) <= len(data) + 1
    assert decompress(packed, len(data)) == data


def test_a_bomb_is_refused():
    with pytest.raises(ValueError, match="zstd"):
        decompress(compress(b"a" * 100_000), 1000)


def test_streams_come_back():
    streams = [
        torch.tensor([], dtype=torch.int32),
        torch.tensor([0, 0]),
        torch.tensor([5, 300, 70_000, 2**30]),
    ]
    data = pack_streams(streams)
    assert [stream.tolist() for stream in unpack_streams(data, 3, 4)] == [s.tolist() for s in streams]
    with pytest.raises(ValueError, match="length"):
        unpack_streams(data, 3, 3)
    with pytest.raises(ValueError, match="too early"):
        unpack_streams(data[:-1], 3, 4)
    with pytest.raises(ValueError, match="too many"):
        unpack_streams(data + b"\0", 3, 4)


def random_entries(num_frames, num_senones, density, seed=0):
    generator = torch.Generator().manual_seed(seed)
    kept = torch.rand(num_frames, num_senones, generator=generator) < density
    frames, ids = kept.nonzero().T
    order = torch.randperm(len(ids), generator=generator)
    codes = torch.randint(256, (len(ids),), generator=generator)
    return Entries(frames[order], ids[order], codes[order])


@pytest.mark.parametrize(
    ("num_frames", "num_senones", "density"),
    [(1, 1, 1.0), (1, 9, 0.5), (30, 40, 0.02), (30, 40, 0.7), (700, 300, 0.05), (20, 3, 1.0), (5, 5, 0.0)],
)
def test_runs_come_back(num_frames, num_senones, density):
    entries = random_entries(num_frames, num_senones, density)
    back = unpack_runs(pack_runs(entries, num_frames), num_frames, num_frames * num_senones)
    expected = sorted(zip(entries.ids.tolist(), entries.frames.tolist(), entries.codes.tolist(), strict=True))
    assert list(zip(back.ids.tolist(), back.frames.tolist(), back.codes.tolist(), strict=True)) == expected


def test_a_lasting_senone_is_stored_once():
    frames = torch.arange(200)
    entries = Entries(frames, torch.full((200,), 13_999), torch.full((200,), 7))
    assert len(pack_runs(entries, 200)) < 50


def test_damaged_runs_are_refused():
    entries = random_entries(30, 40, 0.3)
    data = pack_runs(entries, 30)
    for place in range(0, len(data), 37):
        damaged = bytearray(data)
        damaged[place] ^= 0x55
        try:
            back = unpack_runs(bytes(damaged), 30, 1200)
        except ValueError:
            continue
        assert int(back.frames.max()) < 30
    with pytest.raises(ValueError, match="beyond the utterance"):
        unpack_runs(data, 10, 1200)
