"""Nets trained in processes side by side, by how many at a time.

``python benchmarks/side_by_side.py [--nets 3 5] [--jobs 1 2 3] [--shape 4x512] [--epochs 10]``

Frames a second of all nets by the clock, from the start of the first process to the end of the last, so
nothing else should run; * marks what a stage takes by itself.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from train_step import DIM, DROPOUT, NUM_SENONES, WINDOW, Memory, made_utterances

from asr_kd.am.dnn import Dnn, DnnConfig
from asr_kd.train.config import TrainConfig
from asr_kd.train.loop import cross_entropy, fit
from asr_kd.train.parallel import default_jobs, run_side_by_side

STEPS = 16


def main() -> None:
    """Print a row for each number of nets."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nets", type=int, nargs="+", default=[3, 5])
    parser.add_argument("--jobs", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--shape", default="4x512")
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--epochs", type=int, default=10)
    arguments = parser.parse_args()
    print(f"| shape | nets | {' | '.join(f'{jobs} at a time' for jobs in arguments.jobs)} |")
    print("|---" * (2 + len(arguments.jobs)) + "|")
    for nets in arguments.nets:
        cells = []
        for jobs in arguments.jobs:
            tasks = [(seed, arguments.shape, arguments.batch, arguments.epochs) for seed in range(nets)]
            start = time.monotonic()
            frames = sum(run_side_by_side(train_one, tasks, jobs))
            mark = " *" if jobs == default_jobs(nets) else ""
            cells.append(f"{frames / (time.monotonic() - start):,.0f}{mark}")
        print(f"| {arguments.shape} | {nets} | {' | '.join(cells)} |", flush=True)


def train_one(seed: int, shape: str, batch: int, epochs: int) -> int:
    """Train a net on made frames; return how many."""
    layers, units = map(int, shape.split("x"))
    net = Dnn(DIM, WINDOW.width, NUM_SENONES, DnnConfig(hidden_layers=layers, units=units, dropout=DROPOUT))
    utterances = made_utterances(batch * STEPS)
    config = TrainConfig(epochs=epochs, batch_size=batch, device="cpu")
    source, dev = Memory(utterances, batch), Memory(utterances[:1], batch)
    with tempfile.TemporaryDirectory() as folder:
        fit(net, source, dev, cross_entropy, config, Path(folder), seed=seed)
    return batch * STEPS * epochs


if __name__ == "__main__":
    main()
