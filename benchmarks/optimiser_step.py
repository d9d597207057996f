"""What a step of the optimiser costs beside the net's own, on one CPU thread.

``python benchmarks/optimiser_step.py [--shapes 4x512] [--batches 512 1024 2048 4096] [--senones 120]``

A row is one batch size: the net's forward and backward pass, the steps of AdamW, of Muon as the project has
it and of Muon with torch's five iterations, in ms of the processor, and frames a second with each of them.
The parts take turns, and a figure is the median over the turns.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import nn
from train_step import DIM, DROPOUT, TYPES, WINDOW

from asr_kd.am.dnn import Dnn, DnnConfig
from asr_kd.train.config import TrainConfig
from asr_kd.train.muon import Muon
from asr_kd.train.optimiser import Optimiser, make_optimiser

_RATE = 1e-3
_USUAL_ITERATIONS = 5


def main() -> None:
    """Print a row for each shape and batch size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shapes", nargs="+", default=["4x512"])
    parser.add_argument("--batches", type=int, nargs="+", default=[512, 1024, 2048, 4096])
    parser.add_argument("--senones", type=int, default=120)
    parser.add_argument("--precision", choices=list(TYPES), default="bf16")
    parser.add_argument("--repeats", type=int, default=9)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    optimisers = ("AdamW", "Muon", f"Muon, {_USUAL_ITERATIONS} iterations")
    heads = ["shape", "batch", "net, ms", *(f"{each}, ms" for each in optimisers), "frames/s with each"]
    print(f"| {' | '.join(heads)} |")
    print("|---" * len(heads) + "|")
    for shape in arguments.shapes:
        layers, units = map(int, shape.split("x"))
        for batch in arguments.batches:
            print(f"| {shape} | {batch} | {_row(layers, units, batch, arguments)} |", flush=True)


def _row(layers: int, units: int, batch: int, arguments: argparse.Namespace) -> str:
    config = DnnConfig(hidden_layers=layers, units=units, dropout=DROPOUT)
    net = Dnn(DIM, WINDOW.width, arguments.senones, config)
    windows = torch.randn(batch, WINDOW.width, DIM)
    pdf_ids = torch.randint(arguments.senones, (batch,))
    is_half = arguments.precision == "bf16"

    def learn() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=is_half):
            logits = net(windows)
        loss = nn.functional.cross_entropy(logits.float(), pdf_ids)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped

    optimisers = _optimisers(net)
    turns: list[list[float]] = []
    for _ in range(arguments.repeats + 1):
        row = [_milliseconds(learn)]
        gradients = [parameter.grad for parameter in net.parameters()]
        for optimiser in optimisers:
            for parameter, gradient in zip(net.parameters(), gradients, strict=True):
                parameter.grad = gradient  # a step forgets it
            row.append(_milliseconds(partial(optimiser.step, _RATE)))
        turns.append(row)
    own, *steps = (statistics.median(column) for column in zip(*turns[1:], strict=True))  # the first warms up
    rates = ", ".join(f"{1000 * batch / (own + step):,.0f}" for step in steps)
    return " | ".join([f"{own:.1f}", *(f"{step:.1f}" for step in steps), rates])


def _optimisers(net: nn.Module) -> list[Optimiser]:
    adamw, muon, usual = (
        make_optimiser(net, TrainConfig(optimiser=name, device="cpu")) for name in ("adamw", "muon", "muon")
    )
    for part in usual.parts:
        if isinstance(part, Muon):
            part.param_groups[0]["ns_steps"] = _USUAL_ITERATIONS
    return [adamw, muon, usual]


def _milliseconds(function: Callable[[], None]) -> float:
    start = time.process_time()
    function()
    return 1000 * (time.process_time() - start)


if __name__ == "__main__":
    main()
