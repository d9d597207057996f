"""A tail's power had to be given to nine digits, of which the error that asked for it showed six."""

from __future__ import annotations

import re

import pytest
import torch

from asr_kd.distill.kept_code import Threshold
from asr_kd.distill.sparse import make_code
from asr_kd.distill.stored import StoredPosteriors
from asr_kd.distill.targets import dense_posteriors

NUM_SENONES = 40


def of_one_teacher(temperature: float, *powers: float) -> StoredPosteriors:
    code = Threshold(least=0.02, powers=powers)
    return StoredPosteriors("arithmetic", None, 1, temperature, code, keep_apart=False)


@pytest.mark.parametrize(("stored", "wanted"), [(2, 3), (1, 3), (4, 3), (3, 7), (2, 1.9)])
def test_the_power_that_the_error_names_is_taken(stored: float, wanted: float) -> None:
    refusal = of_one_teacher(stored).code_refusal(stored / wanted)
    assert refusal is not None
    named = re.search(r"T / T' = (\S+)", refusal)
    assert named
    assert of_one_teacher(stored, float(named[1])).code_refusal(stored / wanted) is None


def test_four_digits_give_the_posteriors_of_all_digits() -> None:
    log_q = (3 * torch.randn(50, NUM_SENONES, generator=torch.Generator().manual_seed(0))).log_softmax(1)
    rows = []
    for power in (0.6667, 2 / 3):
        code = make_code(Threshold(least=0.02, powers=(0.25, power)), NUM_SENONES)
        assert code.refusal(2 / 3) is None
        rows.append(dense_posteriors(code.decode(code.encode(log_q, "u"), 50, 2 / 3), NUM_SENONES))
    torch.testing.assert_close(*rows, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("other", [0.666, 0.668, 0.5])
def test_another_power_is_refused(other: float) -> None:
    assert of_one_teacher(2, other).code_refusal(2 / 3) is not None
