"""Teachers trained in step with each other beside the same teachers one by one.

``python benchmarks/teachers_together.py [--teachers 5] [--shapes 4x512] [--batch 512] [--device cuda]``

Both in this process, in turn, with all its threads; frames/s are those of all teachers, by the clock, best of
the rounds, so nothing else should run.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from train_step import DIM, DROPOUT, NUM_SENONES, WINDOW, Memory, made_utterances

from asr_kd.am.dnn import Dnn, DnnConfig
from asr_kd.data.block_source import Frames
from asr_kd.train.config import TrainConfig
from asr_kd.train.loop import Trainer, cross_entropy
from asr_kd.train.together import fit_together


def main() -> None:
    """Print a row for each shape and type."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--teachers", type=int, default=5)
    parser.add_argument("--shapes", nargs="+", default=["4x512", "2x128"])
    parser.add_argument("--precisions", nargs="+", default=["bf16", "fp32"])
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    utterances = made_utterances(arguments.batch * arguments.steps)
    num_frames = arguments.teachers * arguments.batch * arguments.steps
    print("| shape | type | teachers | one by one: frames/s | together: frames/s | ratio |")
    print("|---|---|---|---|---|---|")
    for shape in arguments.shapes:
        layers, units = map(int, shape.split("x"))
        net = DnnConfig(hidden_layers=layers, units=units, dropout=DROPOUT)
        for precision in arguments.precisions:
            config = TrainConfig(
                epochs=1, batch_size=arguments.batch, precision=precision, device=arguments.device
            )
            best = [0.0, 0.0]
            for _ in range(arguments.rounds):
                for number, way in enumerate((_one_by_one, fit_together)):
                    seconds = _seconds(way, net, utterances, config, arguments.teachers)
                    best[number] = max(best[number], num_frames / seconds)
            one, joint = best
            name = f"{shape} | {precision} | {arguments.teachers}"
            print(f"| {name} | {one:,.0f} | {joint:,.0f} | {joint / one:.2f} |", flush=True)


def _one_by_one(trainers: list[Trainer]) -> None:
    for trainer in trainers:
        trainer.run()


def _seconds(
    way: Callable[[list[Trainer]], object],
    net: DnnConfig,
    utterances: list[Frames],
    config: TrainConfig,
    count: int,
) -> float:
    train = Memory(utterances, config.batch_size)
    dev = Memory(utterances[:1], 128)
    with tempfile.TemporaryDirectory() as folder:
        trainers = [
            Trainer(
                Dnn(DIM, WINDOW.width, NUM_SENONES, net),
                train.reseeded(seed),
                dev,
                cross_entropy,
                config,
                Path(folder) / str(seed),
                seed,
                f"teacher-{seed}",
            )
            for seed in range(count)
        ]
        start = time.monotonic()
        way(trainers)
        if config.torch_device().type == "cuda":
            torch.cuda.synchronize()
        return time.monotonic() - start


if __name__ == "__main__":
    main()
