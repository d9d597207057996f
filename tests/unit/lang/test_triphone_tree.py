"""The decision tree as data: answers, numbering, JSON, outline and refusals."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from asr_kd.errors import LexiconError, ModelError
from asr_kd.lang.context import in_context, triphones_of
from asr_kd.lang.hmm import Hmm, monophone_hmm
from asr_kd.lang.phones import PhoneSet
from asr_kd.lang.topology import HmmTopology
from asr_kd.lang.tree import MonophoneTree, tree_from_json
from asr_kd.lang.tree_outline import outline, phone_branches
from asr_kd.lang.triphone_tree import TriphoneTree

PHONES = PhoneSet(("SIL", "A", "B", "C"))
TOPOLOGY = HmmTopology(num_states=2, silence_num_states=1)
# Roots: SIL, A1, A2, B1, B2, C1, C2. A1 asks for silence on its left, then for B or C on its right.
VALUE: dict[str, Any] = {
    "kind": "triphone",
    "phone_set": PHONES.to_json(),
    "topology": TOPOLOGY.to_json(),
    "questions": [["SIL"], ["B", "C"]],
    "nodes": [
        [0], ["left", 0, 7, 8], [4], [5], [6], [7], [8], [1], ["right", 1, 9, 10], [2], [3],
    ],
}  # fmt: skip
SIL, A, B, C = 1, 2, 3, 4


def tree() -> TriphoneTree:
    return TriphoneTree.from_json(VALUE)


def test_questions_are_answered_by_the_neighbours() -> None:
    grown = tree()
    assert (grown.num_pdfs, grown.context_width) == (9, 3)
    assert grown.pdf_id(SIL, A, B, 0) == 1
    assert grown.pdf_id(A, A, B, 0) == 2
    assert grown.pdf_id(B, A, C, 0) == 2
    assert grown.pdf_id(B, A, A, 0) == 3
    assert grown.pdf_id(B, A, SIL, 0) == 3
    assert {grown.pdf_id(left, A, right, 1) for left in range(5) for right in range(5)} == {4}
    assert [grown.phone_and_state(pdf) for pdf in range(9)] == [
        (1, 0), (2, 0), (2, 0), (2, 0), (2, 1), (3, 0), (3, 1), (4, 0), (4, 1),
    ]  # fmt: skip


def test_the_edge_of_an_utterance_counts_as_silence() -> None:
    assert tree().pdf_id(0, A, A, 0) == tree().pdf_id(SIL, A, A, 0) == 1
    assert tree().pdf_id(B, A, 0, 0) == tree().pdf_id(B, A, SIL, 0) == 3


def test_a_tree_comes_back_from_json_with_its_fingerprint(tmp_path: Path) -> None:
    again = tree_from_json(json.loads(json.dumps(tree().to_json())))
    assert again.to_json() == VALUE
    assert again.fingerprint == tree().fingerprint != MonophoneTree(PHONES, TOPOLOGY).fingerprint
    other = copy.deepcopy(VALUE)
    other["questions"][1] = ["B"]
    assert tree_from_json(other).fingerprint != again.fingerprint
    Hmm(PHONES, TOPOLOGY, tree()).save(tmp_path / "hmm.json")
    assert Hmm.load(tmp_path / "hmm.json").pdf_ids(A, B, C) == [2, 4]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"nodes": VALUE["nodes"][:-1]}, "node 8 has the child 10"),
        ({"nodes": [*VALUE["nodes"], [9]]}, "node 11 has no parent"),
        ({"nodes": [[1], *VALUE["nodes"][1:]]}, "two leaves have pdf_id 1"),
        ({"nodes": [[9], *VALUE["nodes"][1:]]}, "pdf_ids are missing"),
        ({"nodes": [[0], ["left", 0, 1, 8], *VALUE["nodes"][2:]]}, "node 1 has the child 1"),
        ({"nodes": [[0], ["left", 2, 7, 8], *VALUE["nodes"][2:]]}, "node 1 asks what is not there"),
        ({"nodes": [[0], ["up", 0, 7, 8], *VALUE["nodes"][2:]]}, "node 1 asks what is not there"),
        ({"nodes": [["left"], *VALUE["nodes"][1:]]}, r"a node is \['left'\]"),
        ({"nodes": VALUE["nodes"][:1]}, "pdf_ids are missing"),
        ({"questions": [["SIL"], ["ZH"]]}, 'asks for the phone "ZH"'),
    ],
)
def test_a_damaged_tree_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=rf"the senone tree is damaged: .*{message}"):
        tree_from_json({**VALUE, **change})


def test_a_tree_for_other_phones_or_states_is_refused() -> None:
    more = PhoneSet(("SIL", "A", "B", "C", "ZH"))
    message = "made for another phone set; expected the 5 phones of the lexicon, got 4 phones.*difference: ZH"
    with pytest.raises(ModelError, match=message):
        Hmm(more, TOPOLOGY, tree())
    with pytest.raises(ModelError, match="difference: another order"):
        Hmm(PhoneSet(("SIL", "B", "A", "C")), TOPOLOGY, tree())
    with pytest.raises(ModelError, match="made for another topology"):
        Hmm(PHONES, HmmTopology(3, 1), tree())


def test_context_of_a_sequence() -> None:
    assert triphones_of([SIL, A, B]) == [(0, SIL, A), (SIL, A, B), (A, B, 0)]
    assert triphones_of([A]) == [(0, A, 0)]
    assert triphones_of([]) == []


def test_context_leaves_the_phone_graph_as_it_was() -> None:
    import kaldifst

    fst = kaldifst.StdVectorFst()
    for _ in range(3):
        fst.add_state()
    fst.start = 0
    fst.add_arc(0, kaldifst.StdArc(A, 7, 0.5, 1))
    fst.add_arc(1, kaldifst.StdArc(B, 0, 0.25, 2))
    fst.set_final(2, 0.125)
    before = str(fst)
    _, labels = in_context(fst)
    assert str(fst) == before
    assert sorted(label for label in labels if label) == [[0, A, B], [A, B, 0]]


def test_the_outline_shows_questions_senones_and_frames() -> None:
    branches = phone_branches(tree(), "A", [50, 10, 20, 30, 5, 1, 1, 1, 1])
    assert list(outline(branches, "A")) == [
        "A, state 1 of 2: 3 senones, 60 frames",
        "  left is SIL?",
        "    yes: senone 1, 10 frames",
        "    no:  right is B C?",
        "      yes: senone 2, 20 frames",
        "      no:  senone 3, 30 frames",
        "A, state 2 of 2: 1 senone, 5 frames",
        "  senone 4, 5 frames",
    ]
    assert [branch.num_senones for branch in branches] == [3, 1]
    monophone = phone_branches(monophone_hmm(PHONES, TOPOLOGY).tree, "SIL", [7] * 7)
    assert list(outline(monophone, "SIL")) == [
        "SIL, state 1 of 1: 1 senone, 7 frames",
        "  senone 0, 7 frames",
    ]
    with pytest.raises(LexiconError, match='phone "ZH" is not in the phone set'):
        phone_branches(tree(), "ZH", [0] * 9)
