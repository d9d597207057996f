"""N small nets trained one by one or as one with stacked weights: is the latter faster here?

``python benchmarks/teachers_together.py [--shapes 2x128 4x512] [--batches 128 512] [--nets 5]``

One step of all nets: forward and backward pass, clipping of each net's gradient and fused AdamW, on one
thread (on a GPU: ``--device cuda``). One by one it is the nets of the package; together, ``torch.baddbmm``
over stacked weights. Times are of the processor (of the clock on a GPU), the best of the turns.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from asr_kd.am.dnn import Dnn, DnnConfig
from asr_kd.train.cross_entropy import hard_cross_entropy

WIDTH, DIM, DROPOUT, NORM = 26, 40, 0.2, 5.0


def main() -> None:
    """Print a row for each shape and batch size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shapes", nargs="+", default=["2x128", "4x512"])
    parser.add_argument("--batches", type=int, nargs="+", default=[128, 512])
    parser.add_argument("--nets", type=int, default=5)
    parser.add_argument("--senones", type=int, default=120)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print("| nets | batch | one by one, ms | together, ms | together is |")
    print("|---|---|---|---|---|")
    for shape in arguments.shapes:
        layers, units = map(int, shape.split("x"))
        for batch in arguments.batches:
            make = (layers, units, arguments.senones, arguments.nets, batch, arguments.device)
            apart, together = _apart(*make), _together(*make)
            times: tuple[list[float], list[float]] = ([], [])
            for _ in range(arguments.turns + 1):
                for step, spent in zip((apart, together), times, strict=True):
                    spent.append(_seconds(step, arguments.steps, arguments.device))
            one, other = (1000 * min(spent[1:]) for spent in times)
            print(
                f"| {arguments.nets} of {shape} | {batch} | {one:.1f} | {other:.1f} | {one / other:.2f} x |",
                flush=True,
            )


def _apart(layers: int, units: int, senones: int, number: int, batch: int, device: str) -> Callable[[], None]:
    torch.manual_seed(0)
    config = DnnConfig(hidden_layers=layers, units=units, dropout=DROPOUT)
    nets = [Dnn(DIM, WIDTH, senones, config).to(device) for _ in range(number)]
    optimisers = [torch.optim.AdamW(net.parameters(), fused=True) for net in nets]
    windows = torch.randn(number, batch, WIDTH, DIM, device=device)
    pdf_ids = torch.randint(senones, (number, batch), device=device)

    def step() -> None:
        for place, (net, optimiser) in enumerate(zip(nets, optimisers, strict=True)):
            with torch.autocast(torch.device(device).type, torch.bfloat16):
                logits = net(windows[place])
            hard_cross_entropy(logits, pdf_ids[place]).backward()
            nn.utils.clip_grad_norm_(net.parameters(), NORM)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)

    return step


def _together(
    layers: int, units: int, senones: int, number: int, batch: int, device: str
) -> Callable[[], None]:
    torch.manual_seed(0)
    widths = [WIDTH * DIM, *[units] * layers, senones]
    weights = [
        nn.Parameter(torch.randn(number, into, out, device=device) * (2 / into) ** 0.5)
        for into, out in itertools.pairwise(widths)
    ]
    biases = [nn.Parameter(torch.zeros(number, 1, out, device=device)) for out in widths[1:]]
    optimiser = torch.optim.AdamW([*weights, *biases], fused=True)
    windows = torch.randn(number, batch, WIDTH * DIM, device=device)
    pdf_ids = torch.randint(senones, (number * batch,), device=device)

    def step() -> None:
        values: Tensor = windows
        with torch.autocast(torch.device(device).type, torch.bfloat16):
            for layer, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
                values = torch.baddbmm(bias, values, weight)
                if layer < layers:
                    values = nn.functional.dropout(values.relu(), DROPOUT)
        loss = hard_cross_entropy(values.flatten(0, 1), pdf_ids) * number
        loss.backward()
        parameters = [*weights, *biases]
        squares = sum(each.grad.square().sum((1, 2)) for each in parameters if each.grad is not None)
        scale = (NORM / (torch.as_tensor(squares).sqrt() + 1e-6)).clamp(max=1)[:, None, None]
        for each in parameters:
            assert each.grad is not None
            each.grad.mul_(scale)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    return step


def _seconds(step: Callable[[], None], steps: int, device: str) -> float:
    clock = time.process_time if device == "cpu" else time.perf_counter
    if device != "cpu":
        torch.cuda.synchronize()
    start = clock()
    for _ in range(steps):
        step()
    if device != "cpu":
        torch.cuda.synchronize()
    return (clock() - start) / steps


if __name__ == "__main__":
    main()
