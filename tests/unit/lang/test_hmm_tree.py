"""Topology, monophone tree and HMM: numbering, JSON round trips and refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from asr_kd.errors import ConfigError, ModelError
from asr_kd.lang.hmm import Hmm, HmmTopology, monophone_hmm
from asr_kd.lang.phones import PhoneSet
from asr_kd.lang.tree import MonophoneTree, tree_from_json

PHONES = PhoneSet(("SIL", "A", "B"))
TOPOLOGY = HmmTopology(num_states=2, silence_num_states=3)


def test_states_are_numbered_phone_by_phone_with_silence_first() -> None:
    tree = MonophoneTree(PHONES, TOPOLOGY)
    assert tree.num_pdfs == 7
    assert tree.context_width == 1
    assert [tree.pdf_id(0, 1, 0, state) for state in range(3)] == [0, 1, 2]
    assert [tree.pdf_id(0, 3, 0, state) for state in range(2)] == [5, 6]
    assert tree.pdf_id(1, 2, 3, 1) == tree.pdf_id(3, 2, 1, 1) == 4
    assert [tree.phone_and_state(pdf) for pdf in range(7)] == [
        (1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (3, 0), (3, 1),
    ]  # fmt: skip


def test_a_tree_comes_back_from_json_with_its_fingerprint() -> None:
    tree = MonophoneTree(PHONES, TOPOLOGY)
    again = tree_from_json(tree.to_json())
    assert again.fingerprint == tree.fingerprint
    assert again.num_pdfs == 7
    assert MonophoneTree(PHONES, HmmTopology(3, 3)).fingerprint != tree.fingerprint
    with pytest.raises(ModelError, match="unknown kind of senone tree"):
        tree_from_json({"kind": "oak"})


def test_an_hmm_is_read_back_exactly(tmp_path: Path) -> None:
    loops = np.linspace(0.1, 0.9, 7)
    hmm = monophone_hmm(PHONES, TOPOLOGY).with_self_loops(loops)
    hmm.save(tmp_path / "hmm.json")
    again = Hmm.load(tmp_path / "hmm.json")
    assert np.array_equal(again.self_loop_probability, loops)
    assert again.fingerprint == hmm.fingerprint != monophone_hmm(PHONES, TOPOLOGY).fingerprint
    assert again.tree.fingerprint == hmm.tree.fingerprint
    assert again.pdf_ids(2) == [3, 4]
    assert (again.num_states(1), again.num_states(2)) == (3, 2)


def test_what_is_no_hmm_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no HMM is stored here"):
        Hmm.load(tmp_path / "none.json")
    (tmp_path / "hmm.json").write_text('{"phone_set": 3', encoding="utf-8")
    with pytest.raises(ModelError, match="not a stored HMM"):
        Hmm.load(tmp_path / "hmm.json")
    with pytest.raises(ModelError, match="do not fit the senone tree"):
        monophone_hmm(PHONES, TOPOLOGY).with_self_loops(np.full(6, 0.5))
    with pytest.raises(ModelError, match="between 0 and 1"):
        monophone_hmm(PHONES, TOPOLOGY).with_self_loops(np.array([0.5] * 6 + [1.0]))
    with pytest.raises(ConfigError, match="an HMM has no states"):
        HmmTopology(num_states=0)
