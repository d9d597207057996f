"""Muon beside torch's own, and its iterations beside the singular values that they are meant for."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from asr_kd.train import muon
from asr_kd.train.muon import Muon, orthogonalised

COEFFICIENTS = (3.4445, -4.775, 2.0315)
WIDE, TALL = (6, 10), (10, 6)


def _matrices() -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(1)
    return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in (WIDE, TALL)]


def _trained(optimiser: torch.optim.Optimizer, matrices: list[nn.Parameter]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(2)
    for _ in range(3):
        for matrix in matrices:
            matrix.grad = torch.randn(matrix.shape, generator=generator)
        optimiser.step()
    return [matrix.detach() for matrix in matrices]


def test_is_torchs_where_bfloat16_is_native(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(muon, "has_native_bf16", lambda device: True)
    ours, theirs = _matrices(), _matrices()
    usual = torch.optim.Muon(theirs, lr=0.1, weight_decay=0.2, ns_steps=3, adjust_lr_fn="match_rms_adamw")
    pairs = zip(_trained(Muon(ours, lr=0.1, weight_decay=0.2), ours), _trained(usual, theirs), strict=True)
    for own, other in pairs:
        torch.testing.assert_close(own, other)


@pytest.mark.parametrize("shape", [WIDE, TALL])
def test_takes_float32_elsewhere(shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(muon, "has_native_bf16", lambda device: False)
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(3))
    left, lengths, right = torch.linalg.svd(matrix.double(), full_matrices=False)
    lengths /= lengths.norm()
    for _ in range(2):
        lengths = 3.4445 * lengths - 4.775 * lengths**3 + 2.0315 * lengths**5
    turned = orthogonalised(matrix, COEFFICIENTS, 2, 1e-7)
    assert turned.dtype == torch.float32
    torch.testing.assert_close(turned.double(), left @ lengths.diag() @ right, atol=1e-5, rtol=0)


def test_a_matrix_of_zeros_stays_one() -> None:
    assert not orthogonalised(torch.zeros(3, 4), COEFFICIENTS, 3, 1e-7).any()


def test_goes_on_from_a_checkpoint_of_torchs() -> None:
    matrices = _matrices()
    theirs = torch.optim.Muon(matrices, lr=0.1)
    _trained(theirs, matrices)
    ours = Muon(matrices, lr=0.1, weight_decay=0.0)
    ours.load_state_dict(theirs.state_dict())
    assert ours.param_groups[0]["ns_steps"] == 5  # as it began
    assert ours.state[matrices[0]]["momentum_buffer"].any()
    _trained(ours, matrices)
