"""Peak memory and rate of writing shards: ten times the frames must not take more memory."""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from multiprocessing.queues import SimpleQueue
from pathlib import Path

import torch
from peak_memory import peak_mib
from shard_facts import benchmark_facts
from synthetic_posteriors import synthetic_utterances

from asr_kd.distill.kept_code import TopK
from asr_kd.distill.shard_writer import ShardSetWriter


def main() -> None:
    """Print one row a number of utterances."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--senones", type=int, default=14_000)
    parser.add_argument("--utterances", type=int, default=20, help="and ten times as many")
    parser.add_argument("--shard-frames", type=int, default=8_000)
    arguments = parser.parse_args()
    print(f"{'frames':>8} {'peak MiB':>9} {'ratio':>6} {'frames/s':>9}")
    context = multiprocessing.get_context("spawn")
    first = None
    for factor in (1, 10):
        queue = context.SimpleQueue()
        settings = (arguments.utterances * factor, arguments.senones, arguments.shard_frames, queue)
        process = context.Process(target=_write, args=settings)
        process.start()
        num_frames, peak, rate = queue.get()
        process.join()
        first = first or peak
        print(f"{num_frames:8} {peak:9.0f} {peak / first:6.3f} {rate:9,.0f}")


def _write(
    num_utterances: int, num_senones: int, shard_frames: int, queue: SimpleQueue[tuple[int, float, float]]
) -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        writer = ShardSetWriter(Path(folder), benchmark_facts(num_senones, TopK(k=48)), shard_frames)
        spent = 0.0
        with writer:
            for utt_id, features, pdf_ids, log_q in synthetic_utterances(num_utterances, 400, num_senones):
                start = time.perf_counter()
                writer.add("train", utt_id, features, pdf_ids, log_q)
                spent += time.perf_counter() - start
        header = writer.finish()
    num_frames = header.num_frames(("train",))
    queue.put((num_frames, peak_mib(), num_frames / spent))


if __name__ == "__main__":
    main()
