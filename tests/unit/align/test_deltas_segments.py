"""Deltas by their definition; segments, counts and self-loops of alignments worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from asr_kd.align.deltas import add_deltas
from asr_kd.align.segments import pdf_counts, segments, self_loop_probabilities, visit_counts
from asr_kd.lang.hmm import Hmm, HmmTopology, monophone_hmm
from asr_kd.lang.phones import PhoneSet

HMM = monophone_hmm(PhoneSet(("SIL", "A", "B")), HmmTopology(num_states=2, silence_num_states=1))
# pdfs: SIL 0; A 1, 2; B 3, 4


def test_deltas_of_a_ramp_are_its_slope_away_from_the_edges() -> None:
    ramp = np.arange(20, dtype=np.float32)[:, None] * [1.0, -3.0]
    with_deltas = add_deltas(ramp)
    assert with_deltas.shape == (20, 6)
    assert with_deltas.dtype == np.float32
    assert with_deltas[:, :2] == pytest.approx(ramp)
    assert with_deltas[2:-2, 2:4] == pytest.approx(np.tile([1.0, -3.0], (16, 1)), abs=1e-5)
    assert with_deltas[4:-4, 4:] == pytest.approx(np.zeros((12, 2)), abs=1e-5)


def test_deltas_at_the_edges_repeat_the_edge_frame() -> None:
    # (x[1] - x[0]) / 10 + 2 (x[2] - x[0]) / 10 at frame 0, as x[-1] and x[-2] are x[0].
    frames = np.array([[1.0], [2.0], [7.0], [7.0]])
    assert add_deltas(frames, order=1)[0, 1] == pytest.approx((2 - 1) / 10 + 2 * (7 - 1) / 10)
    assert add_deltas(frames, order=1)[3, 1] == pytest.approx((7 - 7) / 10 + 2 * (7 - 2) / 10)


def test_second_order_filter_is_the_first_applied_twice_away_from_the_edges() -> None:
    frames = np.random.default_rng(1).normal(size=(30, 3)).astype(np.float32)
    once = add_deltas(frames, order=1)[:, 3:]
    twice = add_deltas(once, order=1)[:, 3:]
    assert add_deltas(frames, order=2)[4:-4, 6:] == pytest.approx(twice[4:-4], abs=1e-5)


def test_short_and_empty_utterances_have_deltas() -> None:
    assert add_deltas(np.ones((1, 4), np.float32)) == pytest.approx(
        np.array([[1.0] * 4 + [0.0] * 8]), abs=1e-6
    )
    assert add_deltas(np.ones((0, 4), np.float32)).shape == (0, 12)
    assert add_deltas(np.ones((5, 4), np.float32), order=0).shape == (5, 4)


def test_segments_split_where_a_phone_follows_itself() -> None:
    pdf_ids = np.array([0, 0, 1, 1, 2, 1, 2, 2, 3, 4, 0])
    assert segments(pdf_ids, HMM) == [
        ("SIL", 0, 2),
        ("A", 2, 3),
        ("A", 5, 3),
        ("B", 8, 2),
        ("SIL", 10, 1),
    ]
    assert segments(np.array([], dtype=np.int32), HMM) == []


def test_counts_leave_out_frames_that_are_not_aligned() -> None:
    alignments = [np.array([0, 1, 1, 2]), np.array([-1, -1, 4])]
    assert pdf_counts(alignments, 5).tolist() == [1, 2, 1, 0, 1]


def test_self_loops_from_frames_and_visits() -> None:
    pdf_ids = np.array([0] * 8 + [1, 2, 1, 2])
    frames, visits = pdf_counts([pdf_ids], 5), visit_counts(pdf_ids, 5)
    assert visits.tolist() == [1, 2, 2, 0, 0]
    # (frames - visits + 1) / (frames + 2): 8/10, 1/4, 1/4 and, where nothing was seen, 1/2.
    assert self_loop_probabilities(frames, visits) == pytest.approx([0.8, 0.25, 0.25, 0.5, 0.5])
    many = np.array([100_000, 100_000])
    assert self_loop_probabilities(many, np.array([1, 100_000])) == pytest.approx([0.99, 0.01])
    assert Hmm(HMM.phone_set, HMM.topology, HMM.tree, self_loop_probabilities(frames, visits)).num_pdfs == 5
