"""Spreads the labelling of a split over processes; what is stored does not depend on their number."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from asr_kd.align.pool import worker_pool
from asr_kd.am.device import Precision
from asr_kd.data.frame_store import FRAMES_FILE
from asr_kd.distill.labelling import (
    Chosen,
    ChosenInGroups,
    CodedPosteriors,
    Labeller,
    LabelTarget,
)
from asr_kd.in_order import map_in_order
from asr_kd.parent_process import end_with
from asr_kd.recogniser import System, SystemCard, feature_config
from asr_kd.torch_threads import one_torch_thread
from asr_kd.train.parallel import usable_cores

BATCH_FRAMES = 2048
"""Utterances are labelled together until they have so many frames.

A batch is labelled as a whole even when a part of it is stored already: a row's last bits depend on how many
rows a product has.
"""

_MOST_PACKERS = 8
# A second one would wait for the first one's kernels too, for both use one stream (benchmarks/README.md).
GPU_THREADS = 1


@dataclass(frozen=True)
class LabellerArguments:
    """What makes a :class:`LabelWorker`, in this process or another.

    Attributes:
        models: Folder of the teachers' model directories.
        card: Which teachers, and how they are averaged.
        device: Of the nets.
        targets: What is stored.
        precision: Of the nets' matrix products.
    """

    models: Path
    card: SystemCard
    device: str
    targets: tuple[LabelTarget, ...]
    precision: Precision


@dataclass(frozen=True)
class StoredFrames:
    """Where the features of some utterances lie.

    Attributes:
        folder: Of a :class:`~asr_kd.data.frame_store.FrameStore`.
        spans: First frame and one past the last one of each utterance.
    """

    folder: Path
    spans: tuple[tuple[int, int], ...]

    def read(self) -> list[Tensor]:
        """Return the features ``[T, D]`` of each utterance."""
        # Not through FrameStore, whose index would be read in each process: it grows with the corpus.
        frames = np.load(self.folder / FRAMES_FILE, mmap_mode="r", allow_pickle=False)
        return [
            torch.from_numpy(np.array(frames[first:last], dtype=np.float32)) for first, last in self.spans
        ]


@dataclass(frozen=True)
class LabelTask:
    """Utterances that are labelled together.

    Attributes:
        keys: Of each utterance, which seed what a code draws.
        features: By feature key.
        members: Of each utterance the numbers of the teachers that label it, from 0; None: all label all.
    """

    keys: tuple[str, ...]
    features: dict[str, StoredFrames]
    members: tuple[tuple[int, ...], ...] | None = None


Labels = list[list[CodedPosteriors]]
"""For each target what is stored of each utterance of a task."""


class LabelWorker:
    """Labels the utterances of a task."""

    def __init__(self, arguments: LabellerArguments) -> None:
        system = System.load(arguments.card, arguments.models, arguments.device)
        keys = [feature_config(model).key for model in system.models]
        self._labeller = Labeller(
            system.models, keys, arguments.targets, system.averaging, system.weights, arguments.precision
        )

    def __call__(self, task: LabelTask) -> Labels:
        """Return what is stored."""
        return self.choose(task).pack()

    def choose(self, task: LabelTask) -> Chosen:
        """Return what is stored, before it is packed."""
        features = _features(task)
        if task.members is None:
            return self._labeller.choose(features, task.keys)
        groups: dict[tuple[int, ...], list[int]] = {}
        for place, members in enumerate(task.members):
            groups.setdefault(members, []).append(place)
        chosen = [
            self._labeller.of(members).choose(
                {key: [each[place] for place in places] for key, each in features.items()},
                [task.keys[place] for place in places],
            )
            for members, places in groups.items()
        ]
        return ChosenInGroups(chosen, list(groups.values()))


def _features(task: LabelTask) -> dict[str, list[Tensor]]:
    return {key: stored.read() for key, stored in task.features.items()}


def default_processes(device: str) -> int:
    """Return how many processes label, or pack what a GPU has chosen."""
    if not _is_gpu(device):
        return usable_cores()
    return min(max(usable_cores() - GPU_THREADS, 1), _MOST_PACKERS)


@contextmanager
def labelling(
    arguments: LabellerArguments, num_processes: int
) -> Iterator[Callable[[Iterable[LabelTask]], Iterator[Labels]]]:
    """Yield a function that maps tasks to labels, in order, while the caller writes those of earlier tasks.

    On a CPU each process computes with one thread, so that results come out the same bits. A GPU is kept
    busy by a thread of this process, and processes pack what it has chosen.

    Args:
        arguments: Of the worker.
        num_processes: One works in threads of this process.
    """
    if _is_gpu(arguments.device):
        choose = LabelWorker(arguments).choose
        with packing(num_processes) as pack, _threads(GPU_THREADS) as executor:
            yield lambda tasks: pack(map_in_order(executor, choose, tasks, GPU_THREADS + 1))
    elif num_processes > 1:
        with worker_pool(num_processes, _process_worker, os.getpid(), arguments) as run:
            yield run
    else:
        worker = LabelWorker(arguments)
        with _threads(1) as executor:
            yield lambda tasks: map_in_order(executor, worker, tasks, 2)


def _is_gpu(device: str) -> bool:
    return device != "cpu"


@contextmanager
def _threads(number: int) -> Iterator[ThreadPoolExecutor]:
    with (
        one_torch_thread(),
        # Each thread has a setting of its own.
        ThreadPoolExecutor(number, initializer=torch.set_num_threads, initargs=(1,)) as executor,
    ):
        yield executor


@contextmanager
def packing(num_processes: int) -> Iterator[Callable[[Iterable[Chosen]], Iterator[Labels]]]:
    """Yield a function that packs posteriors in processes, in order; heavy ones are packed in this one."""
    with worker_pool(num_processes, _Packer, os.getpid()) as run:

        def pack(chosen: Iterable[Chosen]) -> Iterator[Labels]:
            for is_light, group in itertools.groupby(chosen, lambda each: each.is_light):
                yield from (run if is_light else _packed_here)(group)

        yield pack


def _packed_here(chosen: Iterable[Chosen]) -> Iterator[Labels]:
    return (each.pack() for each in chosen)


class _Packer:
    """Packs what a GPU has chosen, in a process of its own."""

    def __init__(self, parent: int) -> None:
        if parent != os.getpid():
            end_with(parent)
            torch.set_num_threads(1)

    def __call__(self, chosen: Chosen) -> Labels:
        return chosen.pack()


def _process_worker(parent: int, arguments: LabellerArguments) -> LabelWorker:
    end_with(parent)
    torch.set_num_threads(1)
    return LabelWorker(arguments)


def batches(lengths: Sequence[int], num_frames: int = BATCH_FRAMES) -> Iterator[slice]:
    """Yield the utterances of each batch: consecutive ones, of ``num_frames`` frames or just more."""
    begin, total = 0, 0
    for place, length in enumerate(lengths):
        total += length
        if total >= num_frames:
            yield slice(begin, place + 1)
            begin, total = place + 1, 0
    if begin < len(lengths):
        yield slice(begin, len(lengths))
