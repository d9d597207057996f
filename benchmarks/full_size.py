"""The whole experiment at the paper's size: labelling, then training from what was written, beside a product.

``python benchmarks/full_size.py [--device cuda] [--batches 8192 16384] [--frames 400000] [--profile]``

Ten teachers of 8 x 2560 units with random weights label random features, and the sparse code is written to
disk; a net learns the same frames' hard labels, and a student their soft targets, both from the shards. Every
rate is given as a share of that of a bfloat16 matrix product measured beside it. Small sizes run on a CPU.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from labelling import DIM, LEFT, RIGHT, TEMPERATURE, UTTERANCE, random_teachers, smooth_features
from shard_facts import benchmark_facts
from torch import nn

from asr_kd.am.dnn import Dnn, DnnConfig, matmul_flop_per_frame
from asr_kd.data.windows import Batch, BatchSource, ContextWindow
from asr_kd.distill.kept_code import Threshold
from asr_kd.distill.labelling import ChosenPosteriors, Labeller, LabelTarget
from asr_kd.distill.shard_reader import ShardBatchSource
from asr_kd.distill.shard_set import ShardSet, open_shard_set
from asr_kd.distill.shard_writer import ShardSetWriter
from asr_kd.in_order import map_in_order
from asr_kd.stages.labelling import GPU_THREADS, packing
from asr_kd.stages.student_loss import DistillationLoss, StudentConfig
from asr_kd.train.config import TrainConfig
from asr_kd.train.loop import Loss, cross_entropy, fit
from asr_kd.train.speed import measured_matmul_flops, training_flop_per_frame

CODE = Threshold(least=0.001, k=64)
WINDOW = ContextWindow(LEFT, RIGHT)
PAPER_FRAMES, PAPER_TEACHERS = 700e6, 10
SHARD_FRAMES = 16_384


@dataclass(frozen=True)
class Sizes:
    """Of the nets."""

    layers: int
    units: int
    senones: int

    def net(self, device: str, dropout: float = 0.2) -> nn.Module:
        """Return a net with random weights."""
        with torch.device(device):
            return Dnn(
                DIM,
                WINDOW.width,
                self.senones,
                DnnConfig(hidden_layers=self.layers, units=self.units, dropout=dropout),
            )


class OneBatch:
    """A batch source that costs nothing: what the loop reaches without reading and gathering."""

    def __init__(self, source: BatchSource) -> None:
        self._batch = next(iter(source.epoch(0)))
        self.num_frames = len(self._batch) * source.batches_per_epoch
        self.batches_per_epoch = source.batches_per_epoch

    def epoch(self, epoch: int, first_batch: int = 0) -> Iterator[Batch]:
        """Yield the batch again and again."""
        yield from (self._batch for _ in range(first_batch, self.batches_per_epoch))


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--units", type=int, default=2560)
    parser.add_argument("--senones", type=int, default=14_000)
    parser.add_argument("--teachers", type=int, default=PAPER_TEACHERS)
    parser.add_argument("--frames", type=int, default=400_000)
    parser.add_argument("--label-batch", type=int, default=2048)
    parser.add_argument("--processes", type=int, nargs="+", default=[8], help="that pack what is chosen")
    parser.add_argument("--batches", type=int, nargs="+", default=[8192, 16_384])
    parser.add_argument("--streams", type=int, default=1, help="read beside each other when not all are kept")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--profile", action="store_true", help="print the student's kernels")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    sizes = Sizes(arguments.layers, arguments.units, arguments.senones)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        label_rate = _labelling(sizes, arguments, folder)
        shards = open_shard_set(folder / "shards")
        print(f"bytes a frame: {shards.header.bytes_per_frame()}", flush=True)
        hard_rate, soft_rate = _training(sizes, arguments, shards, folder)
        if arguments.profile:
            _profile(sizes, arguments, shards, folder)
    hours = [
        PAPER_TEACHERS * PAPER_FRAMES / hard_rate / 3600,
        PAPER_FRAMES / label_rate / 3600 * PAPER_TEACHERS / arguments.teachers,
        PAPER_FRAMES / soft_rate / 3600,
    ]
    print(
        f"one pass of the paper's 700 M frames: ten teachers {hours[0]:.2f} h, labelling {hours[1]:.2f} h, "
        f"student {hours[2]:.2f} h, together {sum(hours):.2f} h"
    )


def _labelling(sizes: Sizes, arguments: argparse.Namespace, folder: Path) -> float:
    """Label and write; return the best rate in frames/s."""
    models = random_teachers(
        arguments.teachers, sizes.layers, sizes.units, sizes.senones, device=arguments.device
    )
    labeller = Labeller(models, ["x"] * len(models), [LabelTarget(TEMPERATURE, CODE)], precision="bf16")
    flop = sum(matmul_flop_per_frame(model.net) for model in models)
    per_batch = max(arguments.label_batch // UTTERANCE, 1)
    num_batches = max(arguments.frames // (per_batch * UTTERANCE), 1)
    features = [smooth_features(number, per_batch) for number in range(num_batches)]
    best = 0.0
    print("| labelling | TFLOP/s | share of the product | frames/s |\n|---|---|---|---|")
    choose = _Choose(labeller, features)
    for turn, processes in enumerate([1, 0, *arguments.processes]):
        count = num_batches if turn > len(arguments.processes) else max(num_batches // 2, 1)
        peak = measured_matmul_flops(arguments.device, torch.bfloat16)
        start = time.perf_counter()
        if processes:
            seconds = _write(choose, count, sizes.senones, folder / f"shards-{turn}", processes)
        else:
            with ThreadPoolExecutor(GPU_THREADS) as executor:
                list(map_in_order(executor, choose, range(count), GPU_THREADS + 1))
            seconds = time.perf_counter() - start
        rate = count * per_batch * UTTERANCE / seconds
        if turn:  # the first one warms up
            best = max(best, rate if processes else 0.0)
            how = f"packed in {processes} processes, written" if processes else "choice alone"
            flops = f"{rate * flop / 1e12:.1f} of {peak / 1e12:.1f} | {100 * rate * flop / peak:.0f} %"
            print(f"| {how} | {flops} | {rate:,.0f} |", flush=True)
    (folder / f"shards-{turn}").rename(folder / "shards")
    return best


class _Choose:
    """Runs the nets on one batch of the features."""

    def __init__(self, labeller: Labeller, features: list[list[torch.Tensor]]) -> None:
        self._labeller = labeller
        self.features = features

    def __call__(self, number: int) -> ChosenPosteriors:
        torch.set_num_threads(1)
        keys = [f"{number}-{each}" for each in range(len(self.features[number]))]
        return self._labeller.choose({"x": self.features[number]}, keys)


def _write(choose: _Choose, count: int, num_senones: int, folder: Path, processes: int) -> float:
    """Label and write some batches; return the seconds that it took, less the start of processes."""
    with (
        ShardSetWriter(folder, benchmark_facts(num_senones, CODE), SHARD_FRAMES) as writer,
        packing(processes) as pack,
        ThreadPoolExecutor(GPU_THREADS) as executor,
    ):
        list(pack(choose(0) for _ in range(2 * processes)))
        start = time.perf_counter()
        chosen = map_in_order(executor, choose, range(count), GPU_THREADS + 1)
        for number, (coded,) in enumerate(pack(chosen)):
            generator = torch.Generator().manual_seed(number)
            for place, each in enumerate(coded):
                pdf_ids = torch.randint(num_senones, (UTTERANCE,), generator=generator)
                features = choose.features[number][place]
                writer.add_coded("train", f"{number}-{place}", features, pdf_ids, each.mean)
        writer.finish()
        return time.perf_counter() - start


def _training(
    sizes: Sizes, arguments: argparse.Namespace, shards: ShardSet, folder: Path
) -> tuple[float, float]:
    """Return the best rates with hard labels and with soft targets."""
    best = {"hard": 0.0, "soft": 0.0}
    print("| training | batch | TFLOP/s | share of the product | frames/s | of one batch again and again |")
    print("|---|---|---|---|---|---|")
    losses: dict[str, Loss] = {
        "hard": cross_entropy,
        "soft": DistillationLoss(StudentConfig(), TEMPERATURE),
    }
    for batch in arguments.batches:
        kept = _source(shards, batch, arguments)
        streamed = _source(shards, batch, arguments, share=0.5, streams=arguments.streams)
        for name, loss in losses.items():
            alone = _rate(sizes, arguments, OneBatch(kept), loss, folder)
            for source, how in ((kept, "kept"), (streamed, "streamed")):
                peak = measured_matmul_flops(arguments.device, torch.bfloat16)
                rate = _rate(sizes, arguments, source, loss, folder)
                flops = rate * training_flop_per_frame(sizes.net("meta"))
                best[name] = max(best[name], rate)
                print(
                    f"| {name}, shards {how} | {batch} | {flops / 1e12:.1f} of {peak / 1e12:.1f} | "
                    f"{100 * flops / peak:.0f} % | {rate:,.0f} | {100 * rate / alone:.1f} % |",
                    flush=True,
                )
    return best["hard"], best["soft"]


def _source(
    shards: ShardSet, batch: int, arguments: argparse.Namespace, share: float = 1.0, streams: int = 1
) -> ShardBatchSource:
    frames = int(share * shards.header.num_frames(("train",)))
    return ShardBatchSource(
        shards, ["train"], batch, WINDOW, frames, num_streams=streams, device=arguments.device
    )


def _rate(
    sizes: Sizes, arguments: argparse.Namespace, source: BatchSource, loss: Loss, folder: Path
) -> float:
    """Return the best epoch's frames/s in the training loop."""
    config = TrainConfig(
        epochs=arguments.epochs,
        batch_size=1,
        precision="bf16",
        device=arguments.device,
        early_stopping=False,
        checkpoint_seconds=1e9,
    )
    with tempfile.TemporaryDirectory(dir=folder) as name:
        net = sizes.net(arguments.device)
        result = fit(net, source, _Dev(source), loss, config, Path(name), seed=1)
    return max(row.frames_per_second for row in result.epochs)


class _Dev:
    """One batch of the source, to choose the epoch by."""

    def __init__(self, source: BatchSource) -> None:
        self._source = source
        self.num_frames, self.batches_per_epoch = 1, 1

    def epoch(self, epoch: int, first_batch: int = 0) -> Iterator[Batch]:
        """Yield the first batch of the source."""
        yield next(iter(self._source.epoch(0)))


def _profile(sizes: Sizes, arguments: argparse.Namespace, shards: ShardSet, folder: Path) -> None:
    """Print where a student's steps spend the device's time."""
    source = _source(shards, arguments.batches[0], arguments)
    list(source.epoch(0, source.batches_per_epoch - 1))
    short = argparse.Namespace(**{**vars(arguments), "epochs": 1})
    kinds = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=kinds) as profile:
        _rate(sizes, short, source, DistillationLoss(StudentConfig(), TEMPERATURE), folder)
    averages = profile.key_averages()
    print(averages.table(sort_by="self_cuda_time_total", row_limit=30, max_name_column_width=70))


if __name__ == "__main__":
    main()
