"""Bits, streams and runs come back as they were; damage is noticed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from asr_kd.distill.bits import bits_needed, pack_bits, packed_bytes, unpack_bits
from asr_kd.distill.compress import compress, decompress
from asr_kd.distill.damage import Damage
from asr_kd.distill.entries import PADDING, Entries, PackedEntries, entries_in_rows
from asr_kd.distill.packing import pack_entries, read_entries
from asr_kd.distill.runs import pack_runs
from asr_kd.distill.streams import Reader, pack_streams, read_streams


def test_bits_needed_by_hand():
    assert [bits_needed(count) for count in (1, 2, 3, 4, 5, 256, 257, 14_000)] == [1, 1, 2, 2, 3, 8, 9, 14]


@pytest.mark.parametrize("width", [1, 3, 7, 8, 9, 14, 16, 17, 31])
@pytest.mark.parametrize("count", [0, 1, 7, 1000])
def test_bits_come_back(width, count):
    values = np.random.default_rng(width).integers(2**width, size=count)
    values[:1] = 2**width - 1
    packed = pack_bits(torch.from_numpy(values), width)
    assert len(packed) == packed_bytes(count, width)
    data = torch.tensor(list(b"!" + packed), dtype=torch.uint8)
    first, counts = (torch.full((count,), number) for number in (1, count))
    assert unpack_bits(data, first, counts, torch.arange(count), width).tolist() == values.tolist()


def test_packed_bits_by_hand():
    # Ten bits each: the low bytes 1 and 2, then the high pairs 3 and 1, lowest bit first.
    assert list(pack_bits(torch.tensor([0x301, 0x102]), 10)) == [1, 2, 0b0111]


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
    reader = Reader(data + b"!")
    assert [stream.tolist() for stream in read_streams(reader, 3, 4)] == [s.tolist() for s in streams]
    with pytest.raises(ValueError, match="1 bytes too many"):
        reader.finish()
    with pytest.raises(ValueError, match="length"):
        read_streams(Reader(data), 3, 3)
    with pytest.raises(ValueError, match="too early"):
        read_streams(Reader(data[:-1]), 3, 4)


def random_entries(num_frames, num_senones, density, seed=0):
    generator = np.random.default_rng(seed)
    frames, ids = (generator.random((num_frames, num_senones)) < density).nonzero()
    order = generator.permutation(len(ids))
    codes = generator.integers(256, size=len(ids))
    return Entries(*(torch.from_numpy(part) for part in (frames[order], ids[order], codes)))


@pytest.mark.parametrize(
    ("num_frames", "num_senones", "density"),
    [(1, 1, 1.0), (1, 9, 0.5), (30, 40, 0.02), (30, 40, 0.7), (700, 300, 0.05), (20, 3, 1.0), (5, 5, 0.0)],
)
def test_entries_come_back(num_frames, num_senones, density):
    entries = random_entries(num_frames, num_senones, density)
    reader = Reader(pack_entries(entries, num_frames, num_senones))
    back = read_entries([reader], [num_frames], num_senones, num_senones, Damage())
    reader.finish()
    assert as_set(back) == as_set(entries)
    assert len(back) == len(entries)


def as_set(entries, first_frame=0):
    frames = (entries.frames + first_frame).tolist()
    return set(zip(entries.ids.tolist(), frames, entries.codes.tolist(), strict=True))


def test_both_layouts_are_used():
    lasting = Entries(torch.arange(200), torch.full((200,), 13_999), torch.full((200,), 7))
    assert pack_entries(lasting, 200, 14_000)[:1] == b"\1"
    assert len(pack_entries(lasting, 200, 14_000)) < 60  # the senone is stored once and not 200 times
    assert pack_entries(random_entries(2, 9, 0.5), 2, 9)[:1] == b"\0"


def test_several_utterances_are_unpacked_together():
    # Both layouts, an utterance without entries, and more frames than numbers of 16 bits can tell apart.
    shapes = [(30, 0.02), (30, 0.7), (5, 0.0), (1, 1.0), (40, 0.5)]
    for last in (700, 70_000):
        every = [
            random_entries(num_frames, 40, density, seed)
            for seed, (num_frames, density) in enumerate([*shapes, (last, 0.05)])
        ]
        lengths = [num_frames for num_frames, _ in shapes] + [last]
        packed = [
            pack_entries(entries, num_frames, 40) for entries, num_frames in zip(every, lengths, strict=True)
        ]
        assert {data[:1] for data in packed} == {b"\0", b"\1"}
        readers = [Reader(data) for data in packed]
        back = as_set(read_entries(readers, lengths, 40, 40, Damage()))
        offsets = np.cumsum([0, *lengths])
        expected = [as_set(entries, offset) for entries, offset in zip(every, offsets, strict=False)]
        assert back == set().union(*expected)


def test_rows_by_hand():
    frames, ids, codes = torch.tensor([[2, 0, 2, 0, 2], [1, 2, 3, 4, 5], [9, 8, 7, 6, 255]]).int()
    rows = entries_in_rows(PackedEntries(frames, 256 * ids + codes), 4, 3, Damage())
    assert rows.ids.tolist() == [[2, 4, 0], [0, 0, 0], [1, 3, 5], [0, 0, 0]]
    assert rows.codes.tolist() == [[8, 6, PADDING], [PADDING] * 3, [9, 7, 255], [PADDING] * 3]
    assert rows.counts.tolist() == [2, 0, 3, 0]
    with pytest.raises(ValueError, match="more than 2"):
        entries_in_rows(PackedEntries(frames, ids), 4, 2, Damage())
    frames, ids = torch.tensor([[1, 0], [7, 300]]).int()
    full = entries_in_rows(PackedEntries(frames, 256 * ids), 2, 1, Damage())
    assert full.ids.tolist() == [[300], [7]]


@pytest.mark.parametrize("density", [0.05, 0.6])
def test_damaged_entries_are_refused(density):
    data = pack_entries(random_entries(30, 40, density), 30, 40)
    for place in range(0, len(data), 5):
        damaged = bytearray(data)
        damaged[place] ^= 0x55
        try:
            back = read_entries([Reader(bytes(damaged))], [30], 40, 40, Damage())
        except ValueError:
            continue
        assert int(back.frames.max()) < 30
        assert int(back.ids.max()) < 40


def test_a_run_beyond_the_utterance_is_refused():
    data = b"\1" + pack_runs(random_entries(30, 40, 0.3), 30)
    with pytest.raises(ValueError, match="beyond the utterance"):
        read_entries([Reader(data)], [10], 40, 40, Damage())
