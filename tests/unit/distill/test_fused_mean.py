"""The kernel of the mean against torch, on a GPU or interpreted."""

from __future__ import annotations

import pytest
import torch

pytest.importorskip("triton", reason="Triton is built for Linux on x86-64")

from asr_kd.distill.fused_mean import is_fused_mean_on, log_mean_softmax

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("num_senones", [1, 37, 2048, 5000])
def test_it_is_the_weighted_mean(num_senones, dtype):
    generator = torch.Generator().manual_seed(0)
    logits = (6 * torch.randn(3, 7, num_senones, generator=generator)).to(DEVICE, dtype)
    shares = [0.5, 0.3, 0.2]
    expected = sum(share * (each.float() / 2).softmax(1) for share, each in zip(shares, logits, strict=True))
    torch.testing.assert_close(log_mean_softmax(logits, shares, 2.0), expected.log(), rtol=1e-4, atol=1e-5)


def test_what_nobody_thinks_possible_and_rows_that_are_not_there():
    logits = torch.tensor([[[0.0, -300.0]], [[0.0, -300.0]]], device=DEVICE)
    log_q = log_mean_softmax(logits, [0.5, 0.5], 1.0)
    assert log_q[0, 0].item() == pytest.approx(0.0, abs=1e-6)
    assert log_q[0, 1].item() == -torch.inf
    assert log_mean_softmax(logits[:, :0].contiguous(), [0.5, 0.5], 1.0).shape == (0, 2)


def test_it_is_for_gpus_and_rows_that_fit():
    assert not is_fused_mean_on(torch.device("cpu"), 100)
    assert not is_fused_mean_on(torch.device("cuda"), 1 << 17)
