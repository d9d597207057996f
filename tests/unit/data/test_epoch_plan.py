"""Every frame once, the same number of batches in every stream, whatever the shards' sizes."""

from __future__ import annotations

import pytest

from asr_kd.data.epoch_plan import EpochPlan
from asr_kd.errors import AsrKdError

SHARDS = [[7, 1, 30, 12, 3], [50], [1, 1, 1], [5, 5, 5, 5], [100, 1]]


def frames_of(plan, order):
    """Return the plan's batches, each a list of (shard, frame)."""
    batches = []
    for number in range(plan.num_blocks):
        block = plan.block(number, order)
        frames = [(span.part, frame) for span in block.spans for frame in range(span.first, span.last)]
        assert len(frames) == sum(block.batch_sizes)
        assert len(batches) == block.first_batch
        for size in block.batch_sizes:
            batches.append(frames[:size])
            frames = frames[size:]
    return batches


@pytest.mark.parametrize("shard_frames", SHARDS)
@pytest.mark.parametrize("num_streams", [1, 2, 3])
@pytest.mark.parametrize(("batch_size", "block_frames"), [(4, 1), (4, 9), (4, 1000), (1, 1), (16, 20)])
def test_every_frame_is_seen_once_in_equally_many_batches(
    shard_frames, num_streams, batch_size, block_frames
):
    order = list(range(len(shard_frames)))[::-1]
    seen, num_batches, sizes = [], set(), set()
    for stream in range(num_streams):
        plan = EpochPlan(shard_frames, batch_size, block_frames, stream, num_streams)
        batches = frames_of(plan, order)
        assert len(batches) == plan.num_batches
        assert sum(map(len, batches)) == plan.num_frames
        num_batches.add(len(batches))
        sizes |= {len(batch) for batch in batches}
        seen += [frame for batch in batches for frame in batch]
    assert sorted(seen) == [(s, f) for s, count in enumerate(shard_frames) for f in range(count)]
    assert len(num_batches) == 1
    assert min(sizes) >= 1
    assert max(sizes) - min(sizes) <= 1
    # One frame more than asked only where a stream would otherwise have an empty batch.
    assert max(sizes) <= max(batch_size, 2)


def test_a_batch_is_found_in_its_block_without_counting():
    plan = EpochPlan([97, 31, 64], batch_size=5, block_frames=23)
    for number in range(plan.num_blocks):
        block = plan.block(number, [0, 1, 2])
        for batch in range(block.first_batch, block.first_batch + len(block.batch_sizes)):
            assert plan.block_of(batch) == number


def test_blocks_stay_within_their_frames():
    plan = EpochPlan([1000, 400, 77], batch_size=10, block_frames=64)
    assert max(sum(plan.block(b, [2, 0, 1]).batch_sizes) for b in range(plan.num_blocks)) <= 60


@pytest.mark.parametrize(
    ("frames", "size", "stream", "num_streams"),
    [([], 4, 0, 1), ([2], 4, 0, 3), ([9], 0, 0, 1), ([9], 4, 2, 2)],
)
def test_what_cannot_be_dealt_out_is_refused(frames, size, stream, num_streams):
    with pytest.raises(AsrKdError):
        EpochPlan(frames, size, 10, stream, num_streams)
