"""Training with all cores, alone and beside busy processes, by how long waiting threads spin.

``python benchmarks/shared_machine.py [--shapes 2x128 4x512] [--busy 0 2] [--spins default 1000 3000]``

``default`` is what GNU's OpenMP does by itself, a number is ``GOMP_SPINCOUNT`` (``asr-kd`` sets 3000),
``passive`` is ``OMP_WAIT_POLICY``. Frames a second of the clock, for waiting is what is measured; the
settings take turns.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BATCH, STEPS = 256, 16
BUSY_LOOP = "while True: pass"


def main() -> None:
    """Print a row for each shape and number of busy processes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shapes", nargs="+", default=["2x128", "4x512"])
    parser.add_argument("--busy", type=int, nargs="+", default=[0, os.cpu_count() or 1])
    parser.add_argument("--spins", nargs="+", default=["default", "1000", "3000"])
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        print(json.dumps(_frames_per_second(arguments.worker, arguments.seconds)))
        return
    print(f"| shape | busy processes | {' | '.join(arguments.spins)} |")
    print("|---" * (2 + len(arguments.spins)) + "|")
    for shape, num_busy in itertools.product(arguments.shapes, arguments.busy):
        busy = [subprocess.Popen([sys.executable, "-c", BUSY_LOOP]) for _ in range(num_busy)]
        try:
            rates = [
                [_run(shape, spins, arguments.seconds) for spins in arguments.spins]
                for _ in range(arguments.repeats)
            ]
        finally:
            for process in busy:
                process.kill()
        cells = [f"{statistics.median(column):,.0f}" for column in zip(*rates, strict=True)]
        print(f"| {shape} | {num_busy} | {' | '.join(cells)} |", flush=True)


def _run(shape: str, spins: str, seconds: float) -> float:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "GOMP_"))}
    if spins == "passive":
        environment["OMP_WAIT_POLICY"] = "passive"
    elif spins != "default":
        environment["GOMP_SPINCOUNT"] = spins
    command = [sys.executable, __file__, "--worker", shape, "--seconds", str(seconds)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout.splitlines()[-1]))


def _frames_per_second(shape: str, seconds: float) -> float:
    """Train epochs of ``STEPS`` batches until the time is over; the first is not counted."""
    # Here, because the process that starts the others must not wait for torch.
    from train_step import DIM, NUM_SENONES, WINDOW, Memory, made_utterances

    from asr_kd.am.dnn import Dnn, DnnConfig
    from asr_kd.train.config import TrainConfig
    from asr_kd.train.loop import cross_entropy, fit

    layers, units = map(int, shape.split("x"))
    net = Dnn(DIM, WINDOW.width, NUM_SENONES, DnnConfig(hidden_layers=layers, units=units))
    utterances = made_utterances(BATCH * STEPS)
    config = TrainConfig(epochs=1, batch_size=BATCH, device="cpu")
    source, dev = Memory(utterances, BATCH), Memory(utterances[:1], BATCH)
    frames, start = -BATCH * STEPS, time.monotonic()
    while frames <= 0 or time.monotonic() - start < seconds:
        if not frames:
            start = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            fit(net, source, dev, cross_entropy, config, Path(folder), seed=1)
        frames += BATCH * STEPS
    return frames / (time.monotonic() - start)


if __name__ == "__main__":
    main()
