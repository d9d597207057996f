"""Labelling with an ensemble on one thread: share of the matrix products' peak, and where the rest goes.

``python benchmarks/labelling.py [--shapes 8x512 4x1024] [--precisions fp32 bf16] [--repeats 3]``

Teachers with random weights label random features; the sparse code is written to disk as the ensemble stage
does. All times are of the processor and not of the clock; the product of 2048^3 and the labelling take turns,
and each figure is the median over the turns.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import torch
from shard_facts import benchmark_facts
from torch import nn

from asr_kd.am.checkpoint import AcousticModel, FrontendCard, ModelCard
from asr_kd.am.device import Precision
from asr_kd.am.dnn import matmul_flop_per_frame
from asr_kd.am.registry import ArchitectureConfig
from asr_kd.distill import kept_code, labelling
from asr_kd.distill.dense_code import Dense, DenseCode
from asr_kd.distill.kept_code import Threshold
from asr_kd.distill.labelling import Labeller, LabelTarget
from asr_kd.distill.shard_writer import ShardSetWriter
from asr_kd.distill.sparse import CodeConfig
from asr_kd.stages.labelling import BATCH_FRAMES
from asr_kd.train.speed import measured_matmul_flops

DIM, LEFT, RIGHT, UTTERANCE = 40, 20, 5, 256
TEMPERATURE = 2.0
CODE = Threshold(least=0.001, k=96)
TYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}


def main() -> None:
    """Print a row for each shape and type, and a profile under it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shapes", nargs="+", default=["8x512", "4x1024"])
    parser.add_argument("--precisions", nargs="+", choices=get_args(Precision), default=["fp32", "bf16"])
    parser.add_argument("--teachers", type=int, default=10)
    parser.add_argument("--senones", type=int, default=14_000)
    parser.add_argument("--batches", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print("| shape | type | 2048^3 GFLOP/s | labelling GFLOP/s | share | frames/s | KL to the first type |")
    print("|---|---|---|---|---|---|---|")
    for shape in arguments.shapes:
        layers, units = map(int, shape.split("x"))
        models = random_teachers(arguments.teachers, layers, units, arguments.senones)
        exact = _dense(models, arguments.precisions[0])
        for precision in arguments.precisions:
            row, profile = _measure(models, precision, arguments.batches, arguments.repeats)
            log_q = _dense(models, precision)
            divergence = float((exact.exp() * (exact - log_q)).sum(1).mean())
            print(f"| {shape} | {precision} | {row} | {divergence:.5f} |", flush=True)
            print(f"  {profile} of the time", flush=True)


def _measure(
    models: list[AcousticModel], precision: Precision, num_batches: int, repeats: int
) -> tuple[str, str]:
    """Return the figures of a row, and what the steps take."""
    labeller = _labeller(models, precision, CODE)
    flop = sum(matmul_flop_per_frame(model.net) for model in models)
    num_senones = models[0].card.num_senones
    rows: list[tuple[float, float]] = []
    profiles: list[dict[str, float]] = []
    for turn in range(repeats + 1):
        product = measured_matmul_flops("cpu", TYPES[precision], 2048, time.process_time)
        with _profile() as spent, tempfile.TemporaryDirectory() as folder:
            start = time.process_time()
            _label(labeller, Path(folder), num_senones, num_batches)
            total = time.process_time() - start
        if turn:  # the first turn warms up
            rows.append((product, num_batches * BATCH_FRAMES / total))
            profiles.append({name: seconds / total for name, seconds in spent.items()})
    peak, speed = (statistics.median(column) for column in zip(*rows, strict=True))
    share = statistics.median(rate * flop / top for top, rate in rows)
    steps = {name: statistics.median(each[name] for each in profiles) for name in profiles[0]}
    names = sorted(steps, key=lambda name: -steps[name])
    return (
        f"{peak / 1e9:,.0f} | {speed * flop / 1e9:,.0f} | {100 * share:.0f} % | {speed:,.0f}",
        ", ".join(f"{name} {100 * steps[name]:.1f} %" for name in names),
    )


def random_teachers(
    number: int, layers: int, units: int, num_senones: int, device: str = "cpu"
) -> list[AcousticModel]:
    """Return nets with random weights that agree on much: their output layers differ by a third."""
    card = ModelCard(
        architecture=ArchitectureConfig(options={"hidden_layers": layers, "units": units}),
        frontend=FrontendCard(
            name="fbank", cmvn="none", dim=DIM, frame_shift=0.01, sampling_rate=16_000, fingerprint=""
        ),
        window_left=LEFT,
        window_right=RIGHT,
        num_senones=num_senones,
        tree_fingerprint="",
        log_prior=[],
    )
    torch.manual_seed(0)
    with torch.device(device):
        first = card.build_net()
        common = nn.Linear(units, num_senones)
        nn.init.normal_(common.weight, std=5 / units**0.5)
        return [AcousticModel(_near(first, common, card).eval(), card, "") for _ in range(number)]


def _near(first: nn.Module, common: nn.Linear, card: ModelCard) -> nn.Module:
    net = card.build_net()
    net.load_state_dict(first.state_dict())
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.1 * parameter.std().nan_to_num() * torch.randn_like(parameter))
        scale = 0.3 * 5 / common.in_features**0.5
        net.get_parameter("output.weight").copy_(common.weight + scale * torch.randn_like(common.weight))
    return net


def _labeller(models: list[AcousticModel], precision: Precision, code: CodeConfig) -> Labeller:
    target = LabelTarget(TEMPERATURE, code)
    return Labeller(models, ["x"] * len(models), [target], precision=precision)


def smooth_features(seed: int, num_utterances: int) -> list[torch.Tensor]:
    """Return noise that changes slowly, as features of speech do, one ``[T, D]`` an utterance."""
    generator = torch.Generator().manual_seed(seed)
    steps = torch.randn(num_utterances, UTTERANCE, DIM, generator=generator)
    return list((0.3 * steps.cumsum(1)).sub_(steps.mean(1, keepdim=True)).clamp_(-3, 3))


def _label(labeller: Labeller, folder: Path, num_senones: int, num_batches: int) -> None:
    with ShardSetWriter(folder, benchmark_facts(num_senones, CODE), 4 * BATCH_FRAMES) as writer:
        for number in range(num_batches):
            features = smooth_features(number, BATCH_FRAMES // UTTERANCE)
            keys = [f"{number}-{each}" for each in range(len(features))]
            (coded,) = labeller.label({"x": features}, keys)
            for key, frames, each in zip(keys, features, coded, strict=True):
                writer.add_coded("train", key, frames, None, each.mean)


def _dense(models: list[AcousticModel], precision: Precision) -> torch.Tensor:
    """Return the log of the mean posteriors of one utterance, float32 ``[T, S]``."""
    labeller = _labeller(models, precision, Dense())
    (coded,) = labeller.label({"x": smooth_features(0, 1)}, ["a"])
    code = DenseCode(Dense(), models[0].card.num_senones)
    return code.log_posteriors([coded[0].mean], [UTTERANCE])


@contextmanager
def _profile() -> Iterator[dict[str, float]]:
    """Count the processor seconds of the steps of labelling; a step within another is taken off it."""
    spent: dict[str, float] = defaultdict(float)
    steps: list[tuple[Any, str, str]] = [
        (labelling._Net, "hidden", "hidden layers"),
        (labelling._Net, "logits", "output layers"),
        (labelling._LinearMean, "add", "softmax and mean"),
        (labelling._LinearMean, "log_q", "logarithm"),
        (kept_code.KeptCode, "select", "selection"),
        (kept_code.KeptCode, "pack", "packing and zstd"),
        (ShardSetWriter, "add_coded", "writing"),
    ]
    originals = [(owner, name, getattr(owner, name)) for owner, name, _ in steps]
    for owner, name, label in steps:
        setattr(owner, name, _timed(getattr(owner, name), label, spent))
    try:
        yield spent
    finally:
        for owner, name, function in originals:
            setattr(owner, name, function)


def _timed(function: Callable[..., Any], name: str, spent: dict[str, float]) -> Callable[..., Any]:
    def call(*arguments: Any, **options: Any) -> Any:
        start = time.process_time()
        result = function(*arguments, **options)
        spent[name] += time.process_time() - start
        return result

    return call


if __name__ == "__main__":
    main()
