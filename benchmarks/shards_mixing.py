"""How well batches are mixed: the chance that two of their frames share an utterance, or a speaker.

One shard set is written in the corpus's order, speaker by speaker, one in the ensemble stage's seeded order.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch
from shard_facts import benchmark_facts

from asr_kd.data.windows import ContextWindow
from asr_kd.distill.kept_code import TopK
from asr_kd.distill.shard_reader import ShardBatchSource
from asr_kd.distill.shard_set import open_shard_set
from asr_kd.distill.shard_writer import ShardSetWriter
from asr_kd.stages.ensemble import writing_order

_NUM_SENONES = 10


def main() -> None:
    """Print one row an order and size of the pool."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--speakers", type=int, default=50)
    parser.add_argument("--utterances", type=int, default=20, help="of each speaker")
    parser.add_argument("--frames", type=int, default=400, help="of each utterance")
    parser.add_argument("--shard-frames", type=int, default=8_000)
    parser.add_argument("--batch", type=int, default=512)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    total = arguments.speakers * arguments.utterances * arguments.frames
    counts = arguments.frames, arguments.utterances * arguments.frames
    ideal = [(count - 1) / (total - 1) for count in counts]
    print(f"{total:,} frames, {arguments.speakers} speakers; ideal {ideal[0]:.5f} and {ideal[1]:.5f}")
    print(f"{'order':10} {'pool':>6} {'same utterance':>15} {'same speaker':>13}")
    for order, seed in (("corpus", None), ("random", 0)):
        with tempfile.TemporaryDirectory() as name:
            _write(Path(name), arguments, seed)
            for share in (16, 8, 4, 1):
                chances = _chances(Path(name), total // share, arguments)
                print(f"{order:10} {1 / share:6.3f} {chances[0]:15.5f} {chances[1]:13.5f}", flush=True)


def _write(folder: Path, arguments: argparse.Namespace, seed: int | None) -> None:
    """Write utterances whose features are the numbers of utterance and speaker."""
    names = [f"{s:03}-{u:03}" for s in range(arguments.speakers) for u in range(arguments.utterances)]
    numbers = {utt_id: number for number, utt_id in enumerate(names)}
    log_q = torch.zeros(arguments.frames, _NUM_SENONES).log_softmax(1)
    facts = benchmark_facts(_NUM_SENONES, TopK(k=1), feature_dim=2)
    with ShardSetWriter(folder, facts, arguments.shard_frames) as writer:
        for utt_id in writing_order(names, seed, "train", ""):
            features = torch.tensor([numbers[utt_id], int(utt_id[:3])]).float().expand(arguments.frames, 2)
            writer.add("train", utt_id, features, None, log_q)
        writer.finish()


def _chances(folder: Path, pool_frames: int, arguments: argparse.Namespace) -> list[float]:
    source = ShardBatchSource(
        open_shard_set(folder), ["train"], arguments.batch, ContextWindow(0, 0), pool_frames
    )
    shared, pairs = [0, 0], 0
    for batch in source.epoch(0):
        for place in (0, 1):
            counts = torch.bincount(batch.windows[:, 0, place].long())
            shared[place] += int((counts * (counts - 1)).sum())
        pairs += len(batch) * (len(batch) - 1)
    return [each / pairs for each in shared]


if __name__ == "__main__":
    main()
