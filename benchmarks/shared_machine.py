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
import time

BATCH = 256
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
    """Train one short training after the other until the time is over; the first is not counted."""
    # Here, because the process that starts the others must not wait for torch.
    from side_by_side import train_one

    train_one(1, shape, BATCH, 1)
    frames, start = 0, time.monotonic()
    while time.monotonic() - start < seconds:
        frames += train_one(1, shape, BATCH, 1)
    return frames / (time.monotonic() - start)


if __name__ == "__main__":
    main()
