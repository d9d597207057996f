"""The loss of sparse targets at 14,000 senones makes nothing of the size of the logits."""

from __future__ import annotations

import multiprocessing
import re
import sys
from pathlib import Path

import pytest
import torch

from asr_kd.distill.loss import distillation_loss
from asr_kd.distill.targets import SoftTargets

NUM_SENONES, KEPT = 14_000, 24


def step(num_frames):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(num_frames, NUM_SENONES, generator=generator).requires_grad_()
    probs = torch.rand(num_frames, KEPT, generator=generator).softmax(1)
    ids = (torch.arange(KEPT) * 500).expand(num_frames, KEPT)
    soft = SoftTargets(0.9 * probs, ids, torch.full((num_frames,), 0.1))
    labels = torch.arange(num_frames) % NUM_SENONES
    outputs = logits.view_as(logits)  # as a layer's output, no leaf whose gradient is copied
    terms = distillation_loss(outputs, soft, labels, 2.0, 1.0, 0.5, overwrite_logits=True)
    torch.autograd.grad(terms.total, outputs)


def peak_kib():
    """Return the peak memory of this process; getrusage's would be inherited from the one that started it."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1])


def measure(queue):
    torch.set_num_threads(1)
    step(8)  # what torch loads for itself
    before = peak_kib()
    step(2048)
    queue.put(peak_kib() - before)


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
def test_a_step_stays_within_one_and_a_half_times_the_logits():
    context = multiprocessing.get_context("spawn")
    queue = context.SimpleQueue()
    process = context.Process(target=measure, args=(queue,))
    process.start()
    process.join()
    assert process.exitcode == 0
    logits_kib = 2048 * NUM_SENONES * 4 / 1024
    assert logits_kib < queue.get() < 1.5 * logits_kib
