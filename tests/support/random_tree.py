"""Random decision trees, for tests that need senones in context but no statistics."""

from __future__ import annotations

import random

from asr_kd.lang.phones import PhoneSet
from asr_kd.lang.topology import HmmTopology
from asr_kd.lang.triphone_tree import Leaf, Node, Split, TriphoneTree


def random_tree(phone_set: PhoneSet, topology: HmmTopology, seed: int, num_splits: int = 2) -> TriphoneTree:
    """Return a tree that splits each state, silence excepted, up to ``num_splits`` times."""
    choice = random.Random(seed)
    questions = [tuple(choice.sample(phone_set.phones, choice.randint(1, len(phone_set)))) for _ in range(6)]
    owners = [
        phone_id
        for phone_id in range(1, len(phone_set) + 1)
        for _ in range(topology.states_of(phone_id == phone_set.silence_id))
    ]
    nodes: list[Node | None] = [None] * len(owners)
    num_pdfs = 0
    for root, phone_id in enumerate(owners):
        leaves = [root]
        for _ in range(num_splits if phone_id != phone_set.silence_id else 0):
            number = leaves.pop(choice.randrange(len(leaves)))
            children = (len(nodes), len(nodes) + 1)
            nodes[number] = Split(choice.choice(["left", "right"]), choice.randrange(6), *children)
            nodes += [None, None]
            leaves += children
        for number in leaves:
            nodes[number] = Leaf(num_pdfs)
            num_pdfs += 1
    assert None not in nodes
    return TriphoneTree(phone_set, topology, questions, [node for node in nodes if node is not None])
