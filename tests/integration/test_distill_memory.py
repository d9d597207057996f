"""Peak memory: the loss makes nothing of the logits' size, and writing does not grow with the frames."""

from __future__ import annotations

import multiprocessing
import tempfile
from pathlib import Path

import pytest
import torch

from asr_kd.distill.kept_code import TopK
from asr_kd.distill.loss import distillation_loss
from asr_kd.distill.shard_writer import ShardSetWriter
from asr_kd.distill.targets import SoftTargets
from tests.support.shard_sets import facts

NUM_SENONES, KEPT = 14_000, 24

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="peak memory is read from /proc"
)


def peak_kib():
    # getrusage would give the peak of the process that this one was started from.
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def in_process(target, *arguments):
    """Return what a function returns in a process of its own."""
    context = multiprocessing.get_context("spawn")
    queue = context.SimpleQueue()
    process = context.Process(target=answer, args=(queue, target, arguments))
    process.start()
    process.join()
    assert process.exitcode == 0
    return queue.get()


def answer(queue, target, arguments):
    torch.set_num_threads(1)
    queue.put(target(*arguments))


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


def memory_of_a_step(num_frames):
    step(8)  # what torch loads for itself
    before = peak_kib()
    step(num_frames)
    return peak_kib() - before


def test_a_step_stays_within_one_and_a_half_times_the_logits():
    logits_kib = 2048 * NUM_SENONES * 4 / 1024
    assert logits_kib < in_process(memory_of_a_step, 2048) < 1.5 * logits_kib


def memory_of_writing(num_utterances):
    num_senones = 3000
    prior = (1 / num_senones,) * num_senones
    the_facts = facts(code=TopK(k=20), feature_dim=40, num_senones=num_senones, prior=prior)
    log_q = torch.randn(20, num_senones).repeat_interleave(10, 0).log_softmax(1)
    with tempfile.TemporaryDirectory() as folder:
        with ShardSetWriter(Path(folder), the_facts, shard_frames=1000) as writer:
            for number in range(num_utterances):
                # Made anew, as by teachers: 200 frames are 2.4 MB, and would pile up if they were kept.
                writer.add("train", f"utt-{number}", torch.zeros(200, 40), None, log_q.clone())
        header = writer.finish()
    assert header.num_frames(("train",)) == 200 * num_utterances
    return peak_kib()


def test_ten_times_the_frames_take_no_more_memory_to_write():
    assert in_process(memory_of_writing, 200) <= 1.1 * in_process(memory_of_writing, 20)
