"""Data-parallel training under ``torchrun``: what ranks do together; alone, a process is the first of one.

Every rank works on its share of each batch, and the mean of the ranks' gradients is that of the whole batch,
so that the number of ranks changes nothing but rounding, and the draw of dropout and masks. A loss that is a
mean has to be weighted with :func:`share`, for the ranks' shares differ by a frame.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from asr_kd.progress import be_silent

# The other ranks wait while the first one works alone, such as through decoding.
_LONGEST_WAIT = timedelta(days=14)


@contextmanager
def process_group() -> Iterator[None]:
    """Join the ranks that ``torchrun`` started; without it, or with one rank, do nothing.

    Only the first rank speaks. A failure anywhere ends all of them, which is torchrun's part.
    """
    if num_started() == 1 or dist.is_initialized():
        yield
        return
    backend = "gloo"
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        backend = "cpu:gloo,cuda:nccl"
    # torch's optimisers import this. Imported after the group is made it keeps the group alive for good
    # (torch 2.13), and the group's threads then abort the interpreter now and then while it ends.
    importlib.import_module("torch._dynamo")
    dist.init_process_group(backend, timeout=_LONGEST_WAIT)
    if not is_first():
        be_silent()
    yield
    # Not after an error: the others would have to come here too.
    dist.destroy_process_group()


def num_started() -> int:
    """Return the number of ranks that ``torchrun`` started, before and after they join; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


_alone = False


@contextmanager
def alone() -> Iterator[None]:
    """Let a rank train by itself within the block, as a process that ``torchrun`` did not start."""
    global _alone  # noqa: PLW0603  # of the process, as torch's process group is
    before, _alone = _alone, True
    try:
        yield
    finally:
        _alone = before


def world_size() -> int:
    """Return the number of ranks W."""
    return dist.get_world_size() if dist.is_initialized() and not _alone else 1


def rank() -> int:
    """Return this process's number, counted from 0."""
    return dist.get_rank() if dist.is_initialized() and not _alone else 0


def is_first() -> bool:
    """Return whether this rank is the one that writes."""
    return rank() == 0


def data_parallel(net: nn.Module, device: torch.device) -> nn.Module:
    """Return a net whose backward pass averages the gradients over the ranks; alone, the net itself."""
    if world_size() == 1:
        return net
    ids = [torch.cuda.current_device()] if device.type == "cuda" else None
    return DistributedDataParallel(net, device_ids=ids, gradient_as_bucket_view=True)


def summed(values: Tensor) -> Tensor:
    """Return the sum of a tensor over the ranks."""
    if world_size() == 1:
        return values
    total = values.clone()
    dist.all_reduce(total)
    return total


def share(count: Tensor) -> Tensor:
    """Return this rank's counts over their mean over the ranks, by which its means have to be weighted.

    Args:
        count: Of what a mean was taken over on this rank, such as frames; several counts at a time.

    Returns:
        1 alone; float32 of the same shape.
    """
    count = count.float()
    if world_size() == 1:
        return torch.ones_like(count)
    return count * world_size() / summed(count).clamp_min(1.0)


def first_says(value: bool) -> bool:
    """Return the first rank's value on every rank; the others wait for it."""
    if world_size() == 1:
        return value
    word = torch.tensor([value], dtype=torch.uint8)
    dist.broadcast(word, 0)
    return bool(word)


def wait_for_all() -> None:
    """Return when every rank has come here; the first one may then remove what the others were reading."""
    summed(torch.zeros(1))  # A sum is there when each has given its part; a broadcast does not wait.


def random_states(device: torch.device) -> list[Tensor]:
    """Return the states of every rank's generators."""
    own = torch.get_rng_state()
    if device.type == "cuda":
        own = torch.cat([own, torch.cuda.get_rng_state(device)])
    if world_size() == 1:
        return [own]
    states = [torch.empty_like(own) for _ in range(world_size())]
    dist.all_gather(states, own)
    return states


def set_random_state(states: list[Tensor], device: torch.device, seed: int, step: int) -> None:
    """Go on with this rank's generators, or seed them where there was another number of ranks."""
    if len(states) != world_size():
        seed_rank(seed, step)
        return
    size = len(torch.get_rng_state())
    own = states[rank()]
    torch.set_rng_state(own[:size].clone())
    if device.type == "cuda" and len(own) > size:
        torch.cuda.set_rng_state(own[size:].clone(), device)


def seed_rank(seed: int, step: int = 0) -> None:
    """Seed torch's generators, of the first rank with the seed itself when the training begins."""
    if rank() or step:
        seed = int(np.random.SeedSequence([seed, rank(), step]).generate_state(1)[0])
    torch.manual_seed(seed)
