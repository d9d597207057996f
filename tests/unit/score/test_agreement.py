from __future__ import annotations

import json

import numpy as np

from asr_kd.score.agreement import Agreement


def test_counts_by_hand() -> None:
    agreement = Agreement(3)
    # Frame by frame: all right, two right, none right though two agree, one right.
    found = np.array([[1, 2, 5, 4], [1, 2, 5, 0], [1, 0, 6, 1]])
    agreement.add(found[:, :1], np.array([1]))
    agreement.add(found[:, 1:], np.array([2, 7, 0]))
    assert agreement.same.tolist() == [[4, 3, 1], [3, 4, 1], [1, 1, 4]]
    assert agreement.by_right.tolist() == [1, 1, 1, 1]


def test_stored_counts_are_read_back() -> None:
    agreement = Agreement(2)
    agreement.add(np.array([[1, 2], [1, 3]]), np.array([1, 3]))
    again = Agreement.of(json.loads(json.dumps(agreement.to_json())))
    assert again.same.tolist() == [[2, 1], [1, 2]]
    assert again.by_right.tolist() == [0, 1, 1]
