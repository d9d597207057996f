"""What ``asr-kd shards info``, ``verify`` and ``bench`` report."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from asr_kd.data.windows import Batch, ContextWindow
from asr_kd.distill.damage import Damage
from asr_kd.distill.shard_reader import ShardBatchSource
from asr_kd.distill.shard_set import ShardSet, open_shard_set
from asr_kd.distill.sparse import code_text
from asr_kd.distill.target_decoder import TargetDecoder, grouped


@dataclass(frozen=True)
class SplitInfo:
    """Counts of one split."""

    split: str
    num_shards: int
    num_samples: int
    num_frames: int
    num_bytes: int


@dataclass(frozen=True)
class ShardsInfo:
    """A shard set in a few facts.

    Attributes:
        facts: Header fields that fit on a line each, by name.
        splits: Counts.
        bytes_per_frame: ``features``, ``labels``, ``targets``, and ``total`` with tar's.
    """

    facts: dict[str, str]
    splits: list[SplitInfo]
    bytes_per_frame: dict[str, float]


def shards_info(location: str | Path) -> ShardsInfo:
    """Return what a shard set holds, from its header alone."""
    header = open_shard_set(location).header
    facts = {
        "averaging": header.averaging,
        "temperature": f"{header.temperature:g}",
        "code": code_text(header.code),
        "teachers": f"{len(header.teachers)}: {' '.join(header.teachers)}",
        "frontend": str(header.frontend.get("name", header.frontend)),
        "cmvn": header.cmvn,
        "frame shift": f"{header.frame_shift:g} s",
        "senones": f"{header.num_senones}",
        "alignment": header.alignment,
        "tree": header.tree,
        "views": ", ".join(view or "plain" for view in header.views),
        "kept apart": "each teacher beside the mean" if header.keep_apart else "no, the mean alone",
        "order": "the corpus's" if header.order_seed is None else f"random, seed {header.order_seed}",
    }
    splits = [
        SplitInfo(
            split,
            len(shards),
            sum(shard.num_samples for shard in shards),
            sum(shard.num_frames for shard in shards),
            sum(shard.num_bytes for shard in shards),
        )
        for split, shards in header.splits.items()
    ]
    return ShardsInfo(facts, splits, header.bytes_per_frame())


def shards_verify(location: str | Path, expected: Mapping[str, object] | None = None) -> ShardsInfo:
    """Check every byte of a shard set, and its header against what it should be; return what it holds.

    Args:
        location: Of the shard set.
        expected: Header fields, such as the teachers' fingerprints of a work folder.

    Raises:
        ShardError: Naming the field, file or utterance.
    """
    open_shard_set(location, expected).verify()
    return shards_info(location)


@dataclass(frozen=True)
class ShardsBench:
    """Frames a second of one process, from storage (or its cache) to each point."""

    read: float
    decoded: float
    batches: float
    batches_in_memory: float


def shards_bench(
    location: str | Path,
    splits: Sequence[str] | None = None,
    batch_size: int = 1024,
    window: ContextWindow | None = None,
    pool_frames: int = 1_000_000,
    max_frames: int = 1_000_000,
    device: torch.device | str = "cpu",
) -> ShardsBench:
    """Measure how fast a shard set is read, decoded, and turned into training batches.

    Args:
        location: Of the shard set.
        splits: Which; all of them by default.
        batch_size: Frames of a batch.
        window: Context; the header's by default.
        pool_frames: Frames in memory.
        max_frames: Enough for a figure; at least one shard or batch is taken.
        device: To decode on and to have the batches on.
    """
    shard_set = open_shard_set(location)
    chosen = list(splits or shard_set.header.splits)
    context = window or ContextWindow(**shard_set.header.window)
    source = ShardBatchSource(shard_set, chosen, batch_size, context, pool_frames, device=device)
    batches = _rate(_counted(source.epoch(0), device), max_frames)
    again = _rate(_counted(source.epoch(1), device), max_frames)
    return ShardsBench(
        read=_rate(_frames_read(shard_set, chosen, None), max_frames),
        decoded=_rate(_frames_read(shard_set, chosen, Damage(device)), max_frames),
        batches=batches,
        batches_in_memory=again,
    )


def _frames_read(shard_set: ShardSet, splits: Sequence[str], damage: Damage | None) -> Iterator[int]:
    """Yield numbers of frames that were read, and decoded where ``damage`` tells a device."""
    decoder = TargetDecoder(shard_set, None, False, None, damage.device if damage else "cpu")
    for shard in shard_set.shards(splits):
        groups = list(grouped(shard_set.read(shard), decoder.num_together))
        for group in groups:
            if damage is not None:
                decoder.decode(group, damage)
            yield sum(len(utterance) for utterance in group)
        if damage is not None:
            decoder.finish(groups, damage)


def _counted(batches: Iterable[Batch], device: torch.device | str) -> Iterator[int]:
    for batch in batches:
        if torch.device(device).type == "cuda":
            torch.cuda.synchronize(device)
        yield len(batch)


def _rate(counts: Iterable[int], most: int) -> float:
    """Return the frames a second at which something yields its counts of frames."""
    start, done = time.perf_counter(), 0
    for count in counts:
        done += count
        if done >= most:
            break
    return done / (time.perf_counter() - start)
