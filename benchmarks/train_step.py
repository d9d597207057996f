"""Training on one CPU thread beside a matrix product of 2048^3, plain PyTorch, and plain PyTorch compiled.

``python benchmarks/train_step.py [--batches 512 1024] [--shapes 8x512 4x1024] [--repeats 5] [--compiled]``

``--compiled`` adds ``torch.compile`` of the plain net, which wants a C++ compiler.

All times are of the processor and not of the clock, so that other processes on the machine take less away
from them; product, loop and plain PyTorch take turns, and each ratio is the median over the turns.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from asr_kd.am.dnn import Dnn, DnnConfig
from asr_kd.data.block_source import BlockSource, Frames
from asr_kd.data.windows import ContextWindow, utterance_windows
from asr_kd.train import distributed
from asr_kd.train.config import TrainConfig
from asr_kd.train.loop import cross_entropy, fit
from asr_kd.train.speed import measured_matmul_flops, training_flop_per_frame

WINDOW = ContextWindow(20, 5)
DIM, NUM_SENONES, DROPOUT = 40, 2000, 0.2
UTTERANCE = 512
TYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}


class Memory(BlockSource):
    """Frames of utterances in memory, of which a rank gets its share."""

    def __init__(self, utterances: list[Frames], batch_size: int) -> None:
        self._utterances = utterances
        counts = [len(frames["features"]) for frames in utterances]
        ranks = distributed.rank(), distributed.world_size()
        super().__init__(counts, batch_size, WINDOW, sum(counts), 0, *ranks)

    def _read(self, part: int) -> list[Frames]:
        return [self._utterances[part]]


def main() -> None:
    """Print a row for each shape, type and batch size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", type=int, nargs="+", default=[512, 1024, 2048, 4096])
    parser.add_argument("--shapes", nargs="+", default=["8x512", "4x1024"])
    parser.add_argument("--precisions", nargs="+", default=list(TYPES))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--compiled", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    heads = (
        "shape",
        "type",
        "batch",
        "2048^3 GFLOP/s",
        "loop GFLOP/s",
        "share",
        "frames/s",
        "times plain PyTorch",
    )
    columns = [*heads, *(["times the same compiled"] if arguments.compiled else [])]
    print(f"| {' | '.join(columns)} |")
    print("|---" * len(columns) + "|")
    for shape in arguments.shapes:
        layers, units = map(int, shape.split("x"))
        for precision in arguments.precisions:
            for batch in arguments.batches:
                row = _compare(layers, units, precision, batch, arguments)
                print(f"| {shape} | {precision} | {batch} | {row} |", flush=True)


def _compare(layers: int, units: int, precision: str, batch: int, arguments: argparse.Namespace) -> str:
    num_frames = batch * arguments.steps
    utterances = made_utterances(num_frames)
    config = TrainConfig(epochs=1, batch_size=batch, precision=precision, device="cpu")
    net = Dnn(DIM, WINDOW.width, NUM_SENONES, DnnConfig(hidden_layers=layers, units=units, dropout=DROPOUT))
    flop = training_flop_per_frame(net)
    kinds = (False, True) if arguments.compiled else (False,)
    others = [_Plain(layers, units, precision, batch, utterances, compiled) for compiled in kinds]
    rows: list[list[float]] = []
    for _ in range(arguments.repeats + 1):
        product = measured_matmul_flops("cpu", TYPES[precision], 2048, time.process_time)
        with tempfile.TemporaryDirectory() as folder:
            loop = _seconds(lambda: _loop(net, utterances, config, Path(folder)))  # called at once
        seconds = [loop, *(_seconds(other.epoch) for other in others)]
        rows.append([product, *(num_frames / each for each in seconds)])
    del rows[0]  # the first turn warms up, and compiles
    peak, ours, *theirs = (statistics.median(column) for column in zip(*rows, strict=True))
    share = statistics.median(speed * flop / rate for rate, speed, *_ in rows)
    cells = [f"{peak / 1e9:,.0f}", f"{ours * flop / 1e9:,.0f}", f"{100 * share:.0f} %", f"{ours:,.0f}"]
    for place, speed in enumerate(theirs, start=2):
        times = statistics.median(row[1] / row[place] for row in rows)
        cells.append(f"{times:.2f} ({speed:,.0f})")
    return " | ".join(cells)


def made_utterances(num_frames: int) -> list[Frames]:
    """Return noise with labels, the same every time."""
    generator = torch.Generator().manual_seed(0)
    return [
        {
            "features": torch.randn(UTTERANCE, DIM, generator=generator),
            "pdf_ids": torch.randint(NUM_SENONES, (UTTERANCE,), dtype=torch.int32, generator=generator),
        }
        for _ in range(num_frames // UTTERANCE)
    ]


def _loop(net: nn.Module, utterances: list[Frames], config: TrainConfig, folder: Path) -> None:
    dev = Memory(utterances[:1], 128)
    fit(net, Memory(utterances, config.batch_size), dev, cross_entropy, config, folder, seed=1)


class _Plain:
    """What one would write first: windows made beforehand, DataLoader, nn.Sequential, autocast and AdamW."""

    def __init__(
        self,
        layers: int,
        units: int,
        precision: str,
        batch: int,
        utterances: list[Frames],
        compiled: bool = False,
    ) -> None:
        windows = torch.cat([utterance_windows(each["features"], WINDOW).flatten(1) for each in utterances])
        pdf_ids = torch.cat([each["pdf_ids"].long() for each in utterances])
        self._loader: DataLoader[tuple[Tensor, ...]] = DataLoader(
            TensorDataset(windows, pdf_ids), batch_size=batch, shuffle=True
        )
        widths = [windows.shape[1], *[units] * layers]
        hidden = [
            module
            for before, after in itertools.pairwise(widths)
            for module in (nn.Linear(before, after), nn.ReLU(), nn.Dropout(DROPOUT))
        ]
        self._net = nn.Sequential(*hidden, nn.Linear(units, NUM_SENONES))
        self._forward: Callable[[Tensor], Tensor] = torch.compile(self._net) if compiled else self._net
        self._optimiser = torch.optim.AdamW(self._net.parameters())
        self._is_half = precision == "bf16"

    def epoch(self) -> None:
        """Train over all frames once."""
        for windows, pdf_ids in self._loader:
            with torch.autocast("cpu", torch.bfloat16, enabled=self._is_half):
                loss = nn.functional.cross_entropy(self._forward(windows), pdf_ids)
            self._optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            nn.utils.clip_grad_norm_(self._net.parameters(), 5.0)
            self._optimiser.step()


def _seconds(function: Callable[[], object]) -> float:
    start = time.process_time()
    function()
    return time.process_time() - start


if __name__ == "__main__":
    main()
