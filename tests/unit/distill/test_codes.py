"""Every code: what comes back, how far it is off, what it keeps, and that bytes repeat."""

from __future__ import annotations

import math
import re

import pytest
import torch
from pydantic import BaseModel, TypeAdapter, ValidationError

from asr_kd.distill.dense_code import Dense
from asr_kd.distill.kept_code import Nucleus, Threshold, TopK
from asr_kd.distill.quantise import LogGrid, MassGrid
from asr_kd.distill.sampled_code import Sampled
from asr_kd.distill.sparse import CodeConfig, make_code
from asr_kd.distill.targets import dense_posteriors

CODES = [
    Dense(),
    TopK(k=5),
    TopK(k=5, tail="renormalise"),
    TopK(k=1),
    TopK(k=100),
    Nucleus(p=0.8, k=12),
    Threshold(least=0.02, k=20),
    Sampled(k=9),
]


def log_posteriors(num_frames=60, num_senones=50, sharpness=3.0, seed=0):
    """Rows of every entropy whose senones last for several frames."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(num_frames // 5 + 1, num_senones, generator=generator).repeat_interleave(5, 0)
    logits = logits[:num_frames] + 0.2 * torch.randn(num_frames, num_senones, generator=generator)
    scale = torch.linspace(0, sharpness, num_frames)[:, None]
    return (scale * logits).log_softmax(1)


def kept_rows(soft):
    """Return {id: probability} of every frame."""
    return [
        {int(i): float(p) for i, p in zip(ids, probs, strict=True) if p > 0}
        for ids, probs in zip(soft.ids, soft.probs, strict=True)
    ]


@pytest.mark.parametrize("config", CODES, ids=str)
@pytest.mark.parametrize("num_senones", [50, 40_000])
def test_shapes_types_and_stable_bytes(config, num_senones):
    log_q = log_posteriors(num_frames=7, num_senones=num_senones)
    code = make_code(config, num_senones)
    data = code.encode(log_q, "utt-1")
    assert data == make_code(config, num_senones).encode(log_q, "utt-1")
    soft = code.decode(data, 7)
    assert soft.probs.shape == (7, code.max_kept)
    assert soft.probs.dtype == torch.float16
    if soft.ids is not None:
        assert soft.ids.dtype == (torch.int16 if num_senones == 50 else torch.int32)
        assert int(soft.ids.max()) < num_senones


@pytest.mark.parametrize("config", CODES, ids=str)
def test_other_bytes_or_lengths_are_refused(config):
    code = make_code(config, 50)
    data = code.encode(log_posteriors(), "a")
    for wrong, num_frames in ((data[:-1], 60), (data + b"\0", 60), (data, 59), (data, 61), (b"", 60)):
        with pytest.raises(ValueError, match=r".+"):
            code.decode(wrong, num_frames)


def test_dense_error_is_within_its_bound():
    log_q = log_posteriors(sharpness=8)
    soft = make_code(Dense(), 50).decode(make_code(Dense(), 50).encode(log_q, "a"), 60)
    q = log_q.exp()
    # The bound of the stored logarithm, and half a unit of the float16 in which a pool keeps the probability.
    bound = q * ((log_q.abs() * 2**-11).expm1() + 2**-11) + 2**-25
    assert ((soft.probs.float() - q).abs() <= bound).all()


def test_topk_keeps_the_most_probable_and_the_mass_of_the_rest():
    q = torch.tensor([[0.5, 0.25, 0.125, 0.0625, 0.0625]])
    soft = make_code(TopK(k=2), 5).decode(make_code(TopK(k=2), 5).encode(q.log(), "a"), 1)
    assert soft.ids.tolist() == [[0, 1]]
    torch.testing.assert_close(soft.probs.float(), torch.tensor([[0.5, 0.25]]), atol=0.003, rtol=0)
    torch.testing.assert_close(soft.tail.float(), torch.tensor([0.25]), atol=0.003, rtol=0)


def test_renormalised_topk_gives_the_tail_to_the_kept():
    q = torch.tensor([[0.5, 0.25, 0.125, 0.125]])
    code = make_code(TopK(k=2, tail="renormalise"), 4)
    soft = code.decode(code.encode(q.log(), "a"), 1)
    assert soft.tail is None
    torch.testing.assert_close(soft.probs.float(), torch.tensor([[2 / 3, 1 / 3]]), atol=0.001, rtol=0)


def test_dropped_tails_leave_rows_below_one():
    q = torch.tensor([[0.5, 0.25, 0.125, 0.125]])
    code = make_code(TopK(k=2, tail="dropped"), 4)
    soft = code.decode(code.encode(q.log(), "a"), 1)
    assert soft.tail is None
    torch.testing.assert_close(soft.probs.float(), torch.tensor([[0.5, 0.25]]), atol=0.003, rtol=0)


def test_nucleus_keeps_the_fewest_that_hold_its_mass():
    q = torch.tensor([[0.05, 0.6, 0.25, 0.1], [0.97, 0.01, 0.01, 0.01], [0.4, 0.3, 0.2, 0.1]])
    code = make_code(Nucleus(p=0.8, k=2), 4)
    kept = kept_rows(code.decode(code.encode(q.log(), "a"), 3))
    assert [sorted(row) for row in kept] == [[1, 2], [0], [0, 1]]  # the last one would need three


def test_threshold_keeps_all_above_it_and_at_least_one():
    q = torch.tensor([[0.05, 0.6, 0.25, 0.1], [0.2, 0.19, 0.3, 0.31]])
    code = make_code(Threshold(least=0.15, k=3), 4)
    assert [sorted(row) for row in kept_rows(code.decode(code.encode(q.log(), "a"), 2))] == [
        [1, 2],
        [0, 2, 3],
    ]
    flat = torch.full((1, 40), 1 / 40)
    code = make_code(Threshold(least=0.15, k=3), 40)
    assert len(kept_rows(code.decode(code.encode(flat.log(), "a"), 1))[0]) == 1


@pytest.mark.parametrize(
    "config", [TopK(k=8), TopK(k=8, steps=3), Nucleus(p=0.9, k=30), Threshold(least=0.01)]
)
def test_decoded_probabilities_are_within_the_stated_factor(config):
    log_q = log_posteriors(sharpness=4)
    code = make_code(config, 50)
    soft = code.decode(code.encode(log_q, "a"), 60)
    for row, kept in enumerate(kept_rows(soft)):
        tail = 1 - sum(float(log_q[row, i].exp()) for i in kept)
        assert float(soft.tail[row]) == pytest.approx(tail, abs=0.0035)
        shared = (1 - float(soft.tail[row])) / (1 - tail)
        for pdf_id, prob in kept.items():
            ratio = prob / float(log_q[row, pdf_id].exp()) / shared
            # float16 adds 2^-11; the step that breaks a tie at the top may add half of one more.
            assert abs(math.log2(ratio)) <= 1.5 / config.steps + 0.002


@pytest.mark.parametrize(
    "config", [TopK(k=8), TopK(k=8, steps=1), Nucleus(p=0.9, k=30), Threshold(least=0.01)]
)
def test_the_most_probable_senone_stays_so(config):
    log_q = log_posteriors()[1:]  # the first row is flat
    code = make_code(config, 50)
    dense = dense_posteriors(code.decode(code.encode(log_q, "a"), 59), 50, torch.zeros(50))
    assert dense.argmax(1).tolist() == log_q.argmax(1).tolist()


def test_certain_rows_survive():
    log_q = torch.full((3, 50), -200.0)
    log_q[torch.arange(3), torch.tensor([7, 8, 9])] = 0.0
    for config in CODES:
        code = make_code(config, 50)
        dense = dense_posteriors(code.decode(code.encode(log_q, "a"), 3), 50)
        assert dense.argmax(1).tolist() == [7, 8, 9]
        torch.testing.assert_close(dense.sum(1), torch.ones(3), atol=2e-3, rtol=0)


def test_lasting_posteriors_take_less_than_bit_packed_ids():
    log_q = log_posteriors(num_frames=400, num_senones=14_000, sharpness=3)
    size = len(make_code(TopK(k=20), 14_000).encode(log_q, "a")) / 400
    assert size < 20 * (14 + 8) / 8


def test_grid_levels_are_exact_in_float16_and_fall():
    for steps in (1, 4, 8, 16):
        levels = LogGrid(steps).levels()
        assert levels[0] == 1
        assert (levels.half().float() == levels).all()
        assert (levels.diff() < 0).all()


def test_nearest_level_is_within_half_a_step():
    grid = LogGrid(4)
    log_probs = torch.linspace(math.log(grid.least), 0, 1000)
    off = (grid.levels()[grid.nearest(log_probs).long()].log() - log_probs) / math.log(2)
    assert off.abs().max() <= 1 / 8 + 1e-3
    assert grid.nearest(torch.tensor([-60.0])).item() == grid.num_codes


def test_masses_are_within_their_bound():
    grid = MassGrid()
    mass = torch.linspace(0.0001, 0.9999, 9999).double()
    back = grid.masses(grid.nearest(mass)).double().clamp(1e-12, 1 - 1e-12)
    assert (back - mass).abs().max() < 0.0035
    divergence = mass * (mass / back).log() + (1 - mass) * ((1 - mass) / (1 - back)).log()
    inner = (mass > 0.001) & (mass < 0.999)
    assert divergence[inner].max() < 1.9e-5 * 1.1


def test_a_recipe_chooses_a_code_by_name():
    class Config(BaseModel):
        code: CodeConfig

    assert Config(code={"name": "topk", "k": 7}).code == TopK(k=7)
    assert TypeAdapter(CodeConfig).validate_python({"name": "sampled"}) == Sampled()
    for wrong in ({"name": "magic"}, {"name": "topk", "p": 0.5}, {"name": "topk", "k": 0}):
        with pytest.raises(ValidationError):
            Config(code=wrong)


def tempered(log_q, power):
    return (power * log_q).log_softmax(1)


@pytest.mark.parametrize(
    "config", [Dense(), TopK(k=8, powers=(0.5, 2.0)), TopK(k=8, tail="renormalise")], ids=str
)
@pytest.mark.parametrize("power", [0.5, 2.0])
def test_posteriors_at_another_power_are_those_encoded_at_it(config, power):
    log_q = log_posteriors()[1:]
    code = make_code(config, 50)
    data = code.encode(log_q, "a")
    got = dense_posteriors(code.decode(data, 59, power), 50)
    expected = dense_posteriors(code.decode(code.encode(tempered(log_q, power), "a"), 59), 50)
    # Each is off by half a step of an eighth of an octave, the first to that power.
    error = 2 ** ((1 + power) / 16) * 1.02 - 1
    torch.testing.assert_close(got, expected, rtol=2 * error, atol=0.004)
    torch.testing.assert_close(got.sum(1), torch.ones(59), atol=0.002, rtol=0)


@pytest.mark.parametrize(
    ("config", "power", "reason"),
    [
        (TopK(k=5), 0.5, "tails are not stored"),
        (TopK(k=5, powers=(0.5,)), 0.25, r"code.powers: \[0.5\]"),
        (Sampled(k=5), 0.5, "biased"),
        (Nucleus(), 2.0, "tails are not stored"),
    ],
)
def test_a_power_that_cannot_be_had_is_refused(config, power, reason):
    code = make_code(config, 50)
    assert code.refusal(1.0) is None
    assert re.search(reason, code.refusal(power))
