"""Peak memory and time of the distillation loss at 14,000 senones and batch 4,096, dense and sparse.

Each case runs in a process of its own; memory is the process's peak from before the logits on, over theirs.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from multiprocessing.queues import SimpleQueue

import torch
from peak_memory import peak_mib
from torch.nn import functional

from asr_kd.distill.loss import distillation_loss
from asr_kd.distill.targets import SoftTargets

CASES = ("forward", "step", "step, overwrite_logits", "torch, dense")


def main() -> None:
    """Print one row a case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--senones", type=int, default=14_000)
    parser.add_argument("--batch", type=int, default=4_096)
    parser.add_argument("--kept", type=int, default=24)
    arguments = parser.parse_args()
    size = arguments.senones * arguments.batch * 4 / 2**20
    print(f"logits {arguments.batch} x {arguments.senones} float32: {size:.0f} MiB")
    print(f"{'case':26} {'peak / logits, logits counted':>30} {'seconds':>8}")
    context = multiprocessing.get_context("spawn")
    for case in CASES:
        queue = context.SimpleQueue()
        settings = (case, arguments.senones, arguments.batch, arguments.kept, queue)
        process = context.Process(target=_measure, args=settings)
        process.start()
        peak, seconds = queue.get()
        process.join()
        print(f"{case:26} {peak / size:30.2f} {seconds:8.2f}")


def _measure(
    case: str, num_senones: int, batch: int, kept: int, queue: SimpleQueue[tuple[float, float]]
) -> None:
    generator = torch.Generator().manual_seed(0)
    # What torch loads and allocates for itself is paid before the first reading.
    _run(case, torch.randn(64, 300, generator=generator), 10)
    before = peak_mib()
    logits = torch.randn(batch, num_senones, generator=generator)
    start = time.perf_counter()
    _run(case, logits, kept)
    queue.put((peak_mib() - before, time.perf_counter() - start))


def _run(case: str, logits: torch.Tensor, kept: int) -> None:
    batch, num_senones = logits.shape
    generator = torch.Generator().manual_seed(1)
    probs = torch.rand(batch, kept, generator=generator).softmax(1)
    ids = torch.randint(num_senones // kept, (batch, kept), generator=generator)
    ids += torch.arange(kept) * (num_senones // kept)  # ids of a row differ
    soft = SoftTargets(0.9 * probs, ids, torch.full((batch,), 0.1))
    labels = torch.randint(num_senones, (batch,), generator=generator)
    logits.requires_grad_(case != "forward")
    # Logits come out of a layer: they are no leaf whose gradient would be copied.
    outputs = logits.view_as(logits)
    if case == "torch, dense":
        q = torch.zeros(batch, num_senones).scatter_(1, ids, 0.9 * probs)
        soft_term = -(q * (outputs / 2).log_softmax(1)).sum(1).mean()
        total = 4 * soft_term + 0.5 * functional.cross_entropy(outputs, labels)
    else:
        overwrite = case == "step, overwrite_logits"
        total = distillation_loss(outputs, soft, labels, 2.0, 1.0, 0.5, overwrite_logits=overwrite).total
    if case != "forward":
        torch.autograd.grad(total, outputs)


if __name__ == "__main__":
    main()
