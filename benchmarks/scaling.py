"""Training with two ranks of one thread each (torchrun, gloo) beside one rank of two threads, on two cores.

``python benchmarks/scaling.py [--batches 2048 4096] [--steps 24] [--rounds 5] [--precision bf16]``

The two take turns, each in processes of their own; time is that of the clock from the fifth step on, so
nothing else should run. Best of the rounds for each, and the ratio of the two.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from train_step import DIM, DROPOUT, NUM_SENONES, WINDOW, Memory, made_utterances

from asr_kd.am.dnn import Dnn, DnnConfig
from asr_kd.data.windows import Batch
from asr_kd.train import distributed
from asr_kd.train.config import TrainConfig
from asr_kd.train.loop import cross_entropy, fit

SHAPE = DnnConfig(hidden_layers=4, units=512, dropout=DROPOUT)
WARM_UP = 4
MARK = "frames/s:"
ONE_RANK = ([sys.executable], "2")
TWO_RANKS = ([sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"], "1")


def main() -> None:
    """Print a row for each batch size, or train as one of the ranks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", type=int, nargs="+", default=[2048, 4096])
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--precision", default="bf16", choices=["bf16", "fp32"])
    parser.add_argument("--train", type=Path, metavar="FOLDER", help="Be a rank; all ranks see the folder.")
    arguments = parser.parse_args()
    if arguments.train:
        _train(arguments.train, arguments.batches[0], arguments.steps, arguments.precision)
        return
    print("| batch | type | 1 rank, 2 threads: frames/s | 2 ranks, 1 thread: frames/s | ratio |")
    print("|---|---|---|---|---|")
    for batch in arguments.batches:
        options = ["--batches", batch, "--steps", arguments.steps, "--precision", arguments.precision]
        best = [0.0, 0.0]
        for _ in range(arguments.rounds):
            for number, (launcher, threads) in enumerate((ONE_RANK, TWO_RANKS)):
                best[number] = max(best[number], _run(launcher, threads, options))
        one, two = best
        print(f"| {batch} | {arguments.precision} | {one:,.0f} | {two:,.0f} | {two / one:.2f} |", flush=True)


def _run(launcher: list[str], threads: str, options: list[object]) -> float:
    environment = {**os.environ, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
    with tempfile.TemporaryDirectory() as folder:
        command = [*launcher, __file__, "--train", folder, *map(str, options)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return float(done.stdout.rpartition(MARK)[2])


def _train(folder: Path, batch_size: int, steps: int, precision: str) -> None:
    config = TrainConfig(epochs=1, batch_size=batch_size, precision=precision, device="cpu")
    utterances = made_utterances(batch_size * steps)
    begun: list[float] = []

    def timed(logits: Tensor, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        if torch.is_grad_enabled():
            begun.append(time.perf_counter())
        return cross_entropy(logits, batch)

    with distributed.process_group():
        torch.manual_seed(0)
        net = Dnn(DIM, WINDOW.width, NUM_SENONES, SHAPE)
        train, dev = Memory(utterances, batch_size), Memory(utterances[:1], 128)
        fit(net, train, dev, timed, config, folder, seed=1)
        if distributed.is_first():
            seconds = begun[-1] - begun[WARM_UP]
            print(f"{MARK} {batch_size * (len(begun) - 1 - WARM_UP) / seconds}")


if __name__ == "__main__":
    main()
