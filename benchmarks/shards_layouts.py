"""Size and read rate of the same targets in other layouts: dense float32 HDF5, one .pt a sample, .npz, ours.

Every layout gives features, labels and targets of every utterance once, in a random order of the utterances
(ours: of the shards), decoded to tensors.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from shard_facts import benchmark_facts
from synthetic_posteriors import synthetic_utterances
from torch import Tensor

from asr_kd.distill.dense_code import Dense
from asr_kd.distill.kept_code import TopK
from asr_kd.distill.shard_set import open_shard_set
from asr_kd.distill.shard_writer import ShardSetWriter
from asr_kd.distill.sparse import CodeConfig
from asr_kd.distill.target_decoder import grouped

Utterance = tuple[str, Tensor, Tensor, Tensor]


def main() -> None:
    """Print one row a layout."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--senones", type=int, default=14_000)
    parser.add_argument("--utterances", type=int, default=20)
    parser.add_argument("--kept", type=int, default=48)
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    def utterances() -> Iterator[Utterance]:
        return synthetic_utterances(arguments.utterances, 400, arguments.senones)

    layouts: dict[str, Callable[[Path, Iterator[Utterance]], Callable[[], int]]] = {
        "HDF5, dense float32": _hdf5,
        ".pt a sample, dense float32": _pt,
        ".npz a sample, dense float16": _npz,
        "ours, dense": lambda folder, data: _shards(folder, data, Dense(), arguments.senones),
        f"ours, topk {arguments.kept}": lambda folder, data: _shards(
            folder, data, TopK(k=arguments.kept), arguments.senones
        ),
    }
    print(f"{'layout':30} {'B/frame':>9} {'frames/s read':>14}")
    for name, write in layouts.items():
        with tempfile.TemporaryDirectory() as folder:
            try:
                read = write(Path(folder), utterances())
            except ModuleNotFoundError as error:
                print(f"{name:30} {error}")
                continue
            size = sum(path.stat().st_size for path in Path(folder).iterdir())
            read()
            start = time.perf_counter()
            num_frames = read()
            rate = num_frames / (time.perf_counter() - start)
            print(f"{name:30} {size / num_frames:9,.1f} {rate:14,.0f}")


def _shuffled(names: list[str]) -> list[str]:
    return random.Random(0).sample(names, len(names))


def _hdf5(folder: Path, data: Iterator[Utterance]) -> Callable[[], int]:
    import h5py

    names = []
    with h5py.File(folder / "targets.h5", "w") as file:
        for utt_id, features, pdf_ids, log_q in data:
            names.append(utt_id)
            for part, values in (("x", features), ("y", pdf_ids), ("q", log_q.exp())):
                file.create_dataset(f"{utt_id}/{part}", data=values.numpy())

    def read() -> int:
        total = 0
        with h5py.File(folder / "targets.h5") as file:
            for name in _shuffled(names):
                parts = [torch.from_numpy(file[f"{name}/{part}"][()]) for part in "xyq"]
                total += len(parts[0])
        return total

    return read


def _pt(folder: Path, data: Iterator[Utterance]) -> Callable[[], int]:
    names = []
    for utt_id, features, pdf_ids, log_q in data:
        names.append(utt_id)
        torch.save({"x": features, "y": pdf_ids, "q": log_q.exp()}, folder / f"{utt_id}.pt")
    return lambda: sum(
        len(torch.load(folder / f"{name}.pt", weights_only=True)["q"]) for name in _shuffled(names)
    )


def _npz(folder: Path, data: Iterator[Utterance]) -> Callable[[], int]:
    names = []
    for utt_id, features, pdf_ids, log_q in data:
        names.append(utt_id)
        np.savez(folder / f"{utt_id}.npz", x=features.half(), y=pdf_ids.int(), q=log_q.exp().half())

    def read() -> int:
        total = 0
        for name in _shuffled(names):
            with np.load(folder / f"{name}.npz") as file:
                total += len([torch.from_numpy(file[part]) for part in "xyq"][2])
        return total

    return read


def _shards(folder: Path, data: Iterator[Utterance], code: CodeConfig, num_senones: int) -> Callable[[], int]:
    with ShardSetWriter(folder, benchmark_facts(num_senones, code), shard_frames=2_000) as writer:
        for utt_id, features, pdf_ids, log_q in data:
            writer.add("train", utt_id, features, pdf_ids, log_q)
        writer.finish()

    # One set through all epochs, as in training: checksums are taken when a shard is read first.
    shard_set = open_shard_set(folder)

    def read() -> int:
        total = 0
        for shard in random.Random(0).sample(shard_set.shards(["train"]), len(shard_set.shards(["train"]))):
            for group in grouped(shard_set.read(shard)):
                targets = [utterance.targets for utterance in group]
                total += len(shard_set.code.decode_batch(targets, [len(utterance) for utterance in group]))
        return total

    return read


if __name__ == "__main__":
    main()
