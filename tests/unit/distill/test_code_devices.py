"""Codes choose and quantise on the device of their input; what reaches the processor is small.

There need not be a GPU: calls that would leave it, or that make a tensor elsewhere, are refused.
"""

from __future__ import annotations

import pytest
import torch
from torch.overrides import TorchFunctionMode

from asr_kd.distill.kept_code import KeptCode, Nucleus, Threshold, TopK
from asr_kd.distill.quantise import LogGrid
from asr_kd.distill.sampled_code import Sampled, inclusion, systematic_draws
from asr_kd.distill.sparse import make_code

NUM_SENONES = 30
SPARSE = [TopK(k=5, powers=(0.5,)), TopK(k=5, tail="renormalise"), Nucleus(p=0.8, k=9), Threshold(k=9)]
LEAVING = {"cpu", "numpy", "tolist", "item", "from_numpy", "__array__", "tensor"}
MAKING = {"zeros", "ones", "full", "empty", "arange", "rand", "randn", "linspace"}


class OnOneDevice(TorchFunctionMode):
    """Refuses what would not stay on the device of the input."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        assert name not in LEAVING, f"{name} leaves the device"
        assert name not in MAKING or "device" in kwargs, f"{name} without a device"
        return func(*args, **kwargs)


def log_posteriors():
    return torch.randn(50, NUM_SENONES, generator=torch.Generator().manual_seed(0)).log_softmax(1)


@pytest.mark.parametrize("config", SPARSE, ids=str)
def test_kept_codes_stay_on_the_device(config):
    code, log_q = KeptCode(config, NUM_SENONES), log_posteriors()
    with OnOneDevice():
        code.select(log_q)


def test_sampling_stays_on_the_device():
    grid, q = LogGrid(8), log_posteriors().double().exp()
    uniform = torch.rand(50, dtype=torch.float64)
    with OnOneDevice():
        systematic_draws(inclusion(q, 5)[1], uniform)
        grid.unbiased(q[:, 0], uniform)
        grid.variance(q)


@pytest.mark.parametrize("leave", [lambda q: q.cpu(), lambda q: q + torch.zeros(NUM_SENONES)])
def test_leaving_would_be_noticed(leave):
    with OnOneDevice(), pytest.raises(AssertionError, match="device"):
        leave(log_posteriors())


@pytest.mark.parametrize("config", [*SPARSE, Sampled(k=5)], ids=str)
def test_no_dense_row_reaches_the_processor(monkeypatch, config):
    log_q = log_posteriors()
    moved = []
    original = torch.Tensor.cpu
    monkeypatch.setattr(torch.Tensor, "cpu", lambda each: moved.append(each.numel()) or original(each))
    make_code(config, NUM_SENONES).encode(log_q, "a")
    assert moved
    assert max(moved) <= 50 * 9
