"""Rates from shards on local disk to training batches, beside training itself and other layouts.

Rates are frames a second, and in brackets frames a second of processor time (all threads of a process), which
other work on the machine hardly changes.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from collections.abc import Iterable, Iterator
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import NamedTuple

import torch
from shard_facts import benchmark_facts
from synthetic_posteriors import synthetic_utterances
from torch import nn

from asr_kd.am.dnn import Dnn, DnnConfig
from asr_kd.data.windows import Batch, ContextWindow
from asr_kd.distill.kept_code import TopK
from asr_kd.distill.loss import distillation_loss
from asr_kd.distill.shard_reader import ShardBatchSource
from asr_kd.distill.shard_sample import StoredUtterance
from asr_kd.distill.shard_set import open_shard_set
from asr_kd.distill.shard_writer import ShardSetWriter
from asr_kd.distill.target_decoder import grouped
from asr_kd.distill.targets import SoftTargets, soft_targets

WINDOW = ContextWindow(20, 5)


def main() -> None:
    """Write a shard set, then measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--senones", type=int, default=14_000)
    parser.add_argument("--student-senones", type=int, default=120, help="of the net that sets the bar")
    parser.add_argument("--utterances", type=int, default=200)
    parser.add_argument("--kept", type=int, default=48)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--train-frames", type=int, default=40_000)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as name:
        large, small = Path(name) / "large", Path(name) / "small"
        _write(large, arguments.utterances, arguments.senones, arguments.kept)
        _write(small, arguments.utterances, arguments.student_senones, 24)
        _reading(large, arguments)
        for pool_frames in (40_000, arguments.utterances * 400):
            _training(small, pool_frames, arguments)


def _write(folder: Path, num_utterances: int, num_senones: int, kept: int) -> None:
    with ShardSetWriter(folder, benchmark_facts(num_senones, TopK(k=kept)), shard_frames=8_000) as writer:
        for utt_id, features, pdf_ids, log_q in synthetic_utterances(num_utterances, 400, num_senones):
            writer.add("train", utt_id, features, pdf_ids, log_q)
        writer.finish()


def _reading(folder: Path, arguments: argparse.Namespace) -> None:
    header = open_shard_set(folder).header
    sizes = ", ".join(f"{name} {size:.1f}" for name, size in header.bytes_per_frame().items())
    print(
        f"{arguments.senones} senones, {header.num_frames(('train',)):,} frames, B/frame: {sizes} (audio 320)"
    )
    shard_set = open_shard_set(folder)
    utterances = [utterance for shard in shard_set.shards(["train"]) for utterance in shard_set.read(shard)]
    source = ShardBatchSource(shard_set, ["train"], arguments.batch, WINDOW, 40_000)
    read = _rate(utterance for shard in shard_set.shards(["train"]) for utterance in shard_set.read(shard))
    decoded = _rate(
        shard_set.code.decode_batch([each.targets for each in group], [len(each) for each in group])
        for group in grouped(utterances)
    )
    print(f"one process: read {read}, decoded {decoded}, batches {_rate(source.epoch(0))}")
    context = multiprocessing.get_context("spawn")
    barrier, queue = context.Barrier(arguments.workers), context.SimpleQueue()
    workers = [
        context.Process(target=_work, args=(folder, rank, arguments, barrier, queue))
        for rank in range(arguments.workers)
    ]
    for worker in workers:
        worker.start()
    rates = [queue.get() for _ in workers]
    for worker in workers:
        worker.join()
    total = Rate(sum(rate[0] for rate in rates), sum(rate[1] for rate in rates))
    print(f"{arguments.workers} workers as ranks, batches: {total}")


def _work(
    folder: Path,
    rank: int,
    arguments: argparse.Namespace,
    barrier: Barrier,
    queue: SimpleQueue[tuple[float, ...]],
) -> None:
    torch.set_num_threads(1)
    workers = arguments.workers
    source = ShardBatchSource(
        open_shard_set(folder),
        ["train"],
        arguments.batch * workers,
        WINDOW,
        arguments.utterances * 400 // 2,  # less than the set, or nothing would be read after the first epoch
        rank=rank,
        world_size=workers,
        num_streams=workers,
    )
    for batch in source.epoch(0):  # loads what Python and torch need
        len(batch)
        break
    barrier.wait()
    queue.put(tuple(_rate(source.epoch(1))))


def _training(folder: Path, pool_frames: int, arguments: argparse.Namespace) -> None:
    """Compare training from shards with the same loop on tensors in memory."""
    print(f"pool of {pool_frames:,} frames:")
    header = open_shard_set(folder).header
    total = header.num_frames(("train",))
    in_memory = ShardBatchSource(open_shard_set(folder), ["train"], arguments.batch, WINDOW, total)
    list(in_memory.epoch(0, in_memory.batches_per_epoch - 1))
    streamed = ShardBatchSource(open_shard_set(folder), ["train"], arguments.batch, WINDOW, pool_frames)
    rates: dict[str, list[Rate]] = {"in memory": [], "from shards": []}
    for epoch in range(3):
        for name, source in (("in memory", in_memory), ("from shards", streamed)):
            net = Dnn(
                40, WINDOW.width, header.num_senones, DnnConfig(hidden_layers=4, units=512, dropout=0.0)
            )
            rates[name].append(_rate(_trained(net, source.epoch(epoch)), arguments.train_frames))
    best = {
        name: Rate(max(rate.wall for rate in values), max(rate.processor for rate in values))
        for name, values in rates.items()
    }
    wall, processor = (
        100 * ours / memory for ours, memory in zip(best["from shards"], best["in memory"], strict=True)
    )
    print(
        f"student 4 x 512, {header.num_senones} senones: in memory {best['in memory']}, from shards "
        f"{best['from shards']}: {wall:.1f} % ({processor:.1f} %)"
    )
    alone = _rate(streamed.epoch(9))
    times = alone.processor / best["in memory"].processor
    print(f"batches alone, from these shards: {alone}, {times:.1f} times the student's training")


def _trained(net: nn.Module, batches: Iterable[Batch]) -> Iterator[Batch]:
    optimiser = torch.optim.AdamW(net.parameters(), 1e-3)
    for batch in batches:
        with torch.autocast("cpu", torch.bfloat16):
            logits = net(batch.windows)
        loss = distillation_loss(logits.float(), soft_targets(batch.targets), batch.targets["pdf_ids"], 2.0)
        optimiser.zero_grad()
        loss.total.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        optimiser.step()
        yield batch


class Rate(NamedTuple):
    """Frames a second of a clock on the wall and of the processor."""

    wall: float
    processor: float

    def __str__(self) -> str:
        return f"{self.wall:,.0f} ({self.processor:,.0f})"


def _rate(batches: Iterable[Batch | StoredUtterance | SoftTargets], most: int | None = None) -> Rate:
    wall, processor, done = time.perf_counter(), time.process_time(), 0
    for batch in batches:
        done += len(batch)
        if most is not None and done >= most:
            break
    return Rate(done / (time.perf_counter() - wall), done / (time.process_time() - processor))


if __name__ == "__main__":
    main()
