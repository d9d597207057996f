"""Criteria over whole sentences against the list of all paths, and their gradients against differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from asr_kd.data.utterance_source import UTTERANCE
from asr_kd.data.windows import Batch
from asr_kd.distill.sequence import arc_scores, by_frame, expected_accuracy, path_sums, state_scores
from asr_kd.distill.sequence_loss import Competitors, SequenceLoss
from asr_kd.errors import ConfigError
from tests.support.small_lattice import NUM_FRAMES, NUM_PDFS, path_weights, paths, small_lattice

LATTICE = small_lattice()
SCALE = 0.7
PRIOR = np.log(np.array([0.4, 0.3, 0.2, 0.1], dtype=np.float32))
PDF_IDS = torch.tensor([1, 3, 2])


def log_likelihoods(seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).normal(size=(NUM_FRAMES, NUM_PDFS)).astype(np.float32)


def test_sums_are_those_over_all_paths() -> None:
    scores = arc_scores(LATTICE, log_likelihoods(), SCALE)
    sums = path_sums(LATTICE, scores)
    weights = path_weights(LATTICE, scores)
    assert sums.log_total == pytest.approx(np.log(weights.sum()))
    for arc in range(len(LATTICE.arcs)):
        through = [weight for weight, path in zip(weights, paths(LATTICE), strict=True) if arc in path]
        assert sums.occupancy[arc] == pytest.approx(sum(through) / weights.sum())


def test_each_frame_s_occupancies_add_up_to_one() -> None:
    sums = path_sums(LATTICE, arc_scores(LATTICE, log_likelihoods(), SCALE))
    occupancy = by_frame(LATTICE, sums.occupancy, NUM_PDFS)
    assert occupancy.shape == (NUM_FRAMES, NUM_PDFS)
    np.testing.assert_allclose(occupancy.sum(1), 1, rtol=1e-6)


def test_paths_far_apart_do_not_overflow() -> None:
    sums = path_sums(LATTICE, arc_scores(LATTICE, 1e4 * log_likelihoods(), SCALE))
    assert np.isfinite(sums.log_total)
    assert np.isfinite(sums.occupancy).all()
    accuracy, slope = expected_accuracy(
        LATTICE, arc_scores(LATTICE, 1e4 * log_likelihoods(), SCALE), np.ones(len(LATTICE.arcs))
    )
    assert np.isfinite([accuracy, *slope]).all()


def test_expected_accuracy_and_its_derivative() -> None:
    scores = arc_scores(LATTICE, log_likelihoods(), SCALE)
    accuracy = (LATTICE.arcs["pdf_id"] == 2).astype(np.float64)

    def mean(values: np.ndarray[Any, Any]) -> float:
        weights = path_weights(LATTICE, values)
        right = np.array([accuracy[path].sum() for path in paths(LATTICE)])
        return float((weights * right).sum() / weights.sum())

    found, slope = expected_accuracy(LATTICE, scores, accuracy)
    assert found == pytest.approx(mean(scores))
    for arc in range(len(scores)):
        step = np.zeros(len(scores))
        step[arc] = 1e-5
        assert slope[arc] == pytest.approx((mean(scores + step) - mean(scores - step)) / 2e-5, abs=1e-8)


def loss(criterion: Any, frame_weight: float = 0.0, lattice: bool = True) -> SequenceLoss:
    found = Competitors(LATTICE, state_scores(LATTICE, log_likelihoods(7)))
    return SequenceLoss(criterion, SCALE, frame_weight, PRIOR, lambda number: found if lattice else None)


def batch(num_utterances: int = 1) -> Batch:
    utterances = torch.arange(num_utterances).repeat_interleave(NUM_FRAMES)
    return Batch(
        torch.zeros(len(utterances), 1, 1), {"pdf_ids": PDF_IDS.repeat(num_utterances), UTTERANCE: utterances}
    )


@pytest.mark.parametrize("criterion", ["smbr", "mmi", "teacher"])
@pytest.mark.parametrize("frame_weight", [0.0, 0.3])
def test_the_gradient_is_that_of_the_value(criterion: str, frame_weight: float) -> None:
    logits = torch.from_numpy(np.concatenate([log_likelihoods(1), log_likelihoods(2)]))
    logits.requires_grad_()
    costs = loss(criterion, frame_weight)
    total, _ = costs(logits, batch(2))
    total.backward()
    assert logits.grad is not None
    for place in ((0, 0), (2, 1), (4, 3)):
        step = torch.zeros_like(logits)
        step[place] = 0.01
        higher, lower = (costs(logits.detach() + sign * step, batch(2))[0] for sign in (1, -1))
        assert float(logits.grad[place]) == pytest.approx(float(higher - lower) / 0.02, abs=2e-4)


def test_values_by_the_list_of_paths() -> None:
    logits = torch.from_numpy(log_likelihoods(1))
    scores = arc_scores(LATTICE, logits.log_softmax(1).numpy() - PRIOR, SCALE)
    weights = path_weights(LATTICE, scores)
    arcs = LATTICE.arcs
    states = [arcs[path]["pdf_id"][arcs[path]["frame"] >= 0] for path in paths(LATTICE)]
    wrong = np.array([(each != PDF_IDS.numpy()).mean() for each in states])
    _, parts = loss("smbr")(logits, batch())
    assert float(parts["smbr"]) == pytest.approx(float((weights * wrong).sum() / weights.sum()), abs=1e-6)


def test_the_teacher_s_own_scores_are_where_its_criterion_is_least() -> None:
    own = torch.from_numpy(log_likelihoods(7) + PRIOR)
    own.requires_grad_()
    total, _ = loss("teacher")(own, batch())
    total.backward()
    assert own.grad is not None
    np.testing.assert_allclose(own.grad.numpy(), 0, atol=1e-6)
    assert float(total.detach()) == pytest.approx(0, abs=1e-5)  # a divergence
    other = torch.from_numpy(log_likelihoods(8))
    assert float(loss("teacher")(other, batch())[0]) > 0.01


def test_without_competitors_the_frames_count_alone() -> None:
    logits = torch.from_numpy(log_likelihoods(1)).requires_grad_()
    total, parts = loss("mmi", 0.25, lattice=False)(logits, batch())
    expected = torch.nn.functional.cross_entropy(logits, PDF_IDS)
    assert total.item() == pytest.approx(0.25 * expected.item(), abs=1e-6)
    assert float(parts["mmi"]) == 0


def test_frames_may_stay_near_a_net_s_posteriors() -> None:
    """The frames' part is least where the fixed net itself is, and its gradient there is zero."""
    own = torch.from_numpy(log_likelihoods(3)).requires_grad_()
    found = Competitors(LATTICE, state_scores(LATTICE, log_likelihoods(7)))
    frame_net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(1, NUM_PDFS))
    torch.nn.init.zeros_(frame_net[1].weight)
    near = SequenceLoss("smbr", SCALE, 0.999999, PRIOR, lambda _: found, frame_net)
    at_net = frame_net[1].bias.detach().repeat(NUM_FRAMES, 1).requires_grad_()
    total, parts = near(at_net, batch())
    total.backward()
    assert at_net.grad is not None
    np.testing.assert_allclose(at_net.grad.numpy(), 0, atol=1e-5)
    posteriors = at_net.detach().softmax(1)
    assert float(parts["frames"]) == pytest.approx(float(-(posteriors * posteriors.log()).sum(1).mean()))
    assert float(near(own, batch())[1]["frames"]) > float(parts["frames"])
    assert frame_net[1].bias.grad is None


def test_a_state_on_no_path_does_not_pull() -> None:
    """Pdf_id 3 is on no path at the last frame: mmi leaves that frame alone."""
    logits = torch.from_numpy(log_likelihoods(1)).requires_grad_()
    utterance = Batch(torch.zeros(3, 1, 1), {"pdf_ids": torch.tensor([1, 3, 3]), UTTERANCE: torch.zeros(3)})
    loss("mmi")(logits, utterance)[0].backward()
    assert logits.grad is not None
    np.testing.assert_allclose(logits.grad[2].numpy(), 0, atol=1e-7)
    assert logits.grad[1].abs().max() > 0.01


def test_an_unknown_criterion_is_refused() -> None:
    with pytest.raises(ConfigError, match="no such criterion"):
        loss("mpe")
