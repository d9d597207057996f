"""Triphone statistics, questions and trees against values worked out by hand and brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest

from asr_kd.align.build_tree import build_tree
from asr_kd.align.gaussian_clusters import gaussian_log_likelihood, packed_moments
from asr_kd.align.phone_questions import phone_questions
from asr_kd.align.triphone_statistics import (
    TriphoneStatistics,
    TriphoneSums,
    convert_alignment,
    triphone_keys,
)
from asr_kd.errors import AlignmentError
from asr_kd.lang.hmm import Hmm, HmmTopology, monophone_hmm
from asr_kd.lang.phones import PhoneSet
from asr_kd.lang.triphone_tree import Split
from tests.support.random_tree import random_tree

PHONES = PhoneSet(("SIL", "A", "B", "C", "D"))
SIL, A, B, C, D = 1, 2, 3, 4, 5
ONE_STATE = HmmTopology(1, 1)
FLOOR = np.array([1e-3])


def sums_of(frames: dict[tuple[int, int, int, int], list[float]]) -> TriphoneSums:
    """One-dimensional frames of each triphone state."""
    statistics = TriphoneStatistics(1)
    for key, values in frames.items():
        statistics.add_frames(np.array([key] * len(values)), np.array(values)[:, None])
    return statistics.sums()


def test_keys_of_an_alignment_by_hand() -> None:
    hmm = monophone_hmm(PHONES, HmmTopology(2, 1))  # SIL 0; A 1 2; B 3 4; C 5 6; D 7 8
    keys = triphone_keys(np.array([0, 0, 1, 2, 2, 1, 1, 2, 5, 6, 0]), hmm)
    assert keys.tolist() == [
        [0, SIL, A, 0], [0, SIL, A, 0],
        [SIL, A, A, 0], [SIL, A, A, 1], [SIL, A, A, 1],
        [A, A, C, 0], [A, A, C, 0], [A, A, C, 1],
        [A, C, SIL, 0], [A, C, SIL, 1],
        [C, SIL, 0, 0],
    ]  # fmt: skip
    assert triphone_keys(np.array([3]), hmm).tolist() == [[0, B, 0, 0]]


def test_sums_do_not_depend_on_how_frames_are_split() -> None:
    rng = np.random.default_rng(0)
    keys = rng.integers(1, 12, (5000, 4))  # more rows than the first capacity
    features = rng.normal(size=(5000, 3)).astype(np.float32)
    whole, parts = TriphoneStatistics(3), TriphoneStatistics(3)
    whole.add_frames(keys, features)
    for begin in range(0, 5000, 700):
        part = TriphoneStatistics(3)
        part.add_frames(keys[begin : begin + 700], features[begin : begin + 700])
        parts.add(part.sums())
    parts.add_frames(keys[:0], features[:0])
    left, right = whole.sums(), parts.sums()
    assert len(left) > 3000
    assert np.array_equal(left.keys, right.keys)
    assert np.array_equal(left.counts, right.counts)
    assert np.allclose(left.first, right.first)
    assert np.allclose(left.second, right.second)
    row = left.keys.tolist().index(keys[17].tolist())
    own = features[(keys == keys[17]).all(axis=1)].astype(np.float64)
    assert left.counts[row] == len(own)
    assert left.first[row] == pytest.approx(own.sum(axis=0))
    assert left.second[row] == pytest.approx((own**2).sum(axis=0))


def test_likelihood_of_a_gaussian_by_hand() -> None:
    values = np.array([1.0, 2.0, 6.0])
    variance = float(np.var(values))  # 14 / 3
    by_hand = sum(
        -0.5 * math.log(2 * math.pi * variance) - (value - 3) ** 2 / (2 * variance) for value in values
    )
    moments = packed_moments(np.array([3.0, 0.0]), np.array([[9.0], [0.0]]), np.array([[41.0], [0.0]]))
    assert gaussian_log_likelihood(moments, FLOOR) == pytest.approx([by_hand, 0.0])
    floored = sum(-0.5 * math.log(2 * math.pi * 10) - (value - 3) ** 2 / 20 for value in values)
    assert gaussian_log_likelihood(moments[:1], np.array([10.0])) == pytest.approx([floored])


def test_phones_that_sound_alike_are_one_question() -> None:
    """Means 0 and 1, 10 and 12, silence 50: A B merge first, then C D, then those two."""
    spread = np.array([-1.0, 1.0])
    means = {SIL: 50.0, A: 0.0, B: 1.0, C: 10.0, D: 12.0}
    sums = sums_of({(SIL, phone, SIL, 0): list(mean + spread) for phone, mean in means.items()})
    questions = phone_questions(sums, PHONES, FLOOR)
    assert questions[:5] == [("SIL",), ("A",), ("B",), ("C",), ("D",)]
    assert questions[5:] == [("A", "B"), ("C", "D"), ("A", "B", "C", "D")]


def test_marked_phones_are_asked_for_together() -> None:
    phones = PhoneSet(("SIL", "AH0_B", "AH1_E", "T_B", "T_E"))
    sums = sums_of({(1, phone, 1, 0): [0.0, float(phone)] for phone in range(1, 6)})
    questions = {frozenset(question) for question in phone_questions(sums, phones, FLOOR)}
    for marked in ({"AH0_B", "T_B"}, {"AH1_E", "T_E"}, {"AH0_B", "AH1_E"}, {"T_B", "T_E"}):
        assert marked in questions


def test_a_phone_without_frames_is_in_a_question_of_its_own_alone() -> None:
    sums = sums_of({(SIL, phone, SIL, 0): [0.0, float(phone)] for phone in (SIL, A, B, C)})
    assert [question for question in phone_questions(sums, PHONES, FLOOR) if "D" in question] == [("D",)]


def test_the_best_split_comes_first() -> None:
    """A sounds as its right neighbour has it, B hardly changes: the first leaf more goes to A, right."""
    frames = {
        (SIL, SIL, A, 0): [0.0, 1.0] * 5,
        (SIL, A, B, 0): [0.0, 1.0] * 5,
        (C, A, B, 0): [0.1, 1.1] * 5,
        (SIL, A, C, 0): [9.0, 10.0] * 5,
        (C, A, D, 0): [9.1, 10.1] * 5,
        (A, B, C, 0): [0.0, 1.0] * 5,
        (D, B, D, 0): [0.3, 1.3] * 5,
        (A, C, SIL, 0): [5.0, 6.0] * 5,
        (A, D, SIL, 0): [5.0, 6.0] * 5,
    }
    questions = [("SIL",), ("B",), ("C",), ("A",)]
    sums = sums_of(frames)
    tree = build_tree(sums, PHONES, ONE_STATE, questions, 6, 5, FLOOR)
    root = tree.nodes[tree.root(A, 0)]
    assert isinstance(root, Split)
    assert (root.side, tree.questions[root.question]) == ("right", ("B",))
    assert tree.num_pdfs == 6
    assert tree.pdf_id(SIL, A, C, 0) == tree.pdf_id(B, A, A, 0) != tree.pdf_id(SIL, A, B, 0)
    # Senones of one state stand side by side: SIL, A A, B, C, D.
    assert [tree.phone_and_state(pdf)[0] for pdf in range(6)] == [SIL, A, A, B, C, D]
    seven = build_tree(sums, PHONES, ONE_STATE, questions, 7, 5, FLOOR)
    assert [seven.phone_and_state(pdf)[0] for pdf in range(7)] == [SIL, A, A, B, B, C, D]


def test_splits_are_those_of_brute_force() -> None:
    """Every question of every leaf tried with frames themselves instead of sums."""
    rng = np.random.default_rng(3)
    frames = {
        (int(left), A, int(right), 0): list(rng.normal(left * right % 5, 1 + left % 3, 8))
        for left in range(6)
        for right in range(6)
    }
    questions = [("B",), ("C", "D"), ("SIL", "B"), ("A", "C"), ("D",), ("SIL",)]
    tree = build_tree(sums_of(frames), PHONES, ONE_STATE, questions, 9, 20, FLOOR)
    leaves = [list(frames)]
    while len(leaves) < 5:  # SIL, B, C and D have one leaf each
        leaves = split_by_brute_force(leaves, frames, questions, 20)
    found = {}
    for key in frames:
        found.setdefault(tree.pdf_id(*key), set()).add(key)
    assert sorted(map(sorted, found.values())) == sorted(map(sorted, leaves))


def split_by_brute_force(leaves: list, frames: dict, questions: list, min_frames: int) -> list:
    def likelihood(keys: list) -> float:
        values = np.concatenate([frames[key] for key in keys])
        return float(-0.5 * len(values) * (math.log(2 * math.pi * max(values.var(), 1e-3)) + 1))

    best = (0.0, 0, [], [])
    for index, keys in enumerate(leaves):
        for side in (0, 2):
            for question in questions:
                ids = {PHONES.phone_id(phone) for phone in question}
                ids |= {0} if SIL in ids else set()
                inside = [key for key in keys if key[side] in ids]
                outside = [key for key in keys if key[side] not in ids]
                if min(len(inside), len(outside)) * 8 >= min_frames:
                    gain = likelihood(inside) + likelihood(outside) - likelihood(keys)
                    best = max(best, (gain, index, inside, outside), key=lambda item: item[0])
    _, index, inside, outside = best
    return [*leaves[:index], *leaves[index + 1 :], inside, outside]


def test_silence_is_not_split_and_unseen_triphones_have_senones() -> None:
    frames = {(left, SIL, right, 0): [10.0 * left + right] * 9 for left in (A, B) for right in (A, B)}
    frames |= {(left, A, SIL, 0): [10.0 * left, 1.0] * 9 for left in (SIL, B, C)}
    tree = build_tree(sums_of(frames), PHONES, ONE_STATE, [("B",), ("C",), ("A",)], 7, 5, FLOOR)
    assert len({tree.pdf_id(left, SIL, right, 0) for left in range(6) for right in range(6)}) == 1
    assert len({tree.pdf_id(left, A, right, 0) for left in range(6) for right in range(6)}) == 3
    assert tree.pdf_id(D, A, D, 0) == tree.pdf_id(SIL, A, SIL, 0), "neither B nor C"
    assert tree.pdf_id(A, D, B, 0) == 6, "a phone without frames has a senone"


def test_too_few_leaves_and_too_little_data_are_errors() -> None:
    frames = {(left, A, SIL, 0): [10.0 * left, 1.0] * 9 for left in (SIL, B, C)}
    arguments = (sums_of(frames), PHONES, ONE_STATE, [("B",), ("C",)])
    with pytest.raises(AlignmentError, match=r"num_leaves: fewer senones than .* expected 5 or more.* got 4"):
        build_tree(*arguments, 4, 5, FLOOR)
    message = r"num_leaves: too little data .* expected 7 or fewer with 5 frames a senone.* got 8; lower"
    with pytest.raises(AlignmentError, match=message):
        build_tree(*arguments, 8, 5, FLOOR)
    assert build_tree(*arguments, 7, 5, FLOOR).num_pdfs == 7
    with pytest.raises(AlignmentError, match="expected 5 or fewer with 30 frames"):
        build_tree(*arguments, 6, 30, FLOOR)


def test_an_alignment_is_converted_frame_by_frame() -> None:
    topology = HmmTopology(2, 1)
    source = monophone_hmm(PHONES, topology)
    target = Hmm(PHONES, topology, random_tree(PHONES, topology, 1, 3))
    pdf_ids = np.array([0, 1, 2, 2, 7, 8, 8, 0, 3, 4], dtype=np.int32)  # SIL A D SIL B
    found = convert_alignment(pdf_ids, source, target)
    pick = target.tree.pdf_id
    expected = [pick(0, SIL, A, 0), pick(SIL, A, D, 0), *[pick(SIL, A, D, 1)] * 2, pick(A, D, SIL, 0)]
    expected += [*[pick(A, D, SIL, 1)] * 2, pick(D, SIL, B, 0), pick(SIL, B, 0, 0), pick(SIL, B, 0, 1)]
    assert found.tolist() == expected
    assert found.dtype == np.int32
    assert convert_alignment(found, target, source).tolist() == pdf_ids.tolist()
    assert len(convert_alignment(pdf_ids[:0], source, target)) == 0
