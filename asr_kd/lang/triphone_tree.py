"""The phonetic decision tree: senones of phones in the context of their neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from asr_kd.errors import ModelError
from asr_kd.fingerprint import fingerprint
from asr_kd.lang.phones import UTTERANCE_EDGE, PhoneSet
from asr_kd.lang.topology import HmmTopology

LEFT, RIGHT = "left", "right"
SIDES = (LEFT, RIGHT)


@dataclass(frozen=True)
class Leaf:
    """A senone."""

    pdf_id: int


@dataclass(frozen=True)
class Split:
    """Asks whether the phone on one side is in a set of phones.

    Attributes:
        side: ``left`` or ``right``.
        question: Number of the set.
        yes: Node for contexts inside it.
        no: Node for contexts outside it.
    """

    side: str
    question: int
    yes: int
    no: int


Node = Leaf | Split


class TriphoneTree:
    """A decision tree for each state of each phone, over the phones to its left and right.

    The edge of an utterance counts as silence: it sounds alike, and few trees have data for it.

    Args:
        phone_set: The phones.
        topology: States of each phone.
        questions: Sets of phones.
        nodes: The roots first, in the order of phones and states; a split comes before its children.

    Raises:
        ModelError: When the nodes are no forest with one root for each state and one leaf for each pdf.

    Source: Young, Odell & Woodland 1994, "Tree-Based State Tying for High Accuracy Acoustic Modelling".
    """

    kind = "triphone"

    def __init__(
        self,
        phone_set: PhoneSet,
        topology: HmmTopology,
        questions: Sequence[tuple[str, ...]],
        nodes: Sequence[Node],
    ) -> None:
        self.phone_set = phone_set
        self.topology = topology
        self.questions = tuple(questions)
        self.nodes = tuple(nodes)
        self._contexts = [_context_ids(question, phone_set) for question in questions]
        self._first_root: list[int] = []
        roots: list[tuple[int, int]] = []
        for phone_id in range(1, len(phone_set) + 1):
            self._first_root.append(len(roots))
            num_states = topology.states_of(phone_id == phone_set.silence_id)
            roots.extend((phone_id, state) for state in range(num_states))
        self._owner = self._owners_of_pdfs(roots)

    def _owners_of_pdfs(self, roots: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """Return phone and state of each pdf; refuse what is no forest."""
        root_of_node: list[int | None] = [None] * len(self.nodes)
        root_of_node[: len(roots)] = range(len(roots))
        owner: dict[int, tuple[int, int]] = {}
        for number, node in enumerate(self.nodes):
            root = root_of_node[number]
            if root is None:
                raise _damaged(f"node {number} has no parent")
            if isinstance(node, Leaf):
                if node.pdf_id in owner:
                    raise _damaged(f"two leaves have pdf_id {node.pdf_id}")
                owner[node.pdf_id] = roots[root]
                continue
            if node.side not in SIDES or not 0 <= node.question < len(self.questions):
                raise _damaged(f"node {number} asks what is not there")
            for child in (node.yes, node.no):
                if not number < child < len(self.nodes) or root_of_node[child] is not None:
                    raise _damaged(f"node {number} has the child {child}")
                root_of_node[child] = root
        if len(self.nodes) < len(roots) or set(owner) != set(range(len(owner))):
            raise _damaged("pdf_ids are missing")
        return [owner[pdf_id] for pdf_id in range(len(owner))]

    @property
    def num_pdfs(self) -> int:
        """Number of senones S."""
        return len(self._owner)

    @cached_property
    def fingerprint(self) -> str:
        """Fingerprint of the senone inventory."""
        return fingerprint(self.to_json())

    @property
    def context_width(self) -> int:
        """3: the phone and its neighbours."""
        return 3

    def root(self, phone: int, state: int) -> int:
        """Return the number of the root node of a state (from 0) of a phone id."""
        return self._first_root[phone - 1] + state

    def pdf_id(self, left: int, phone: int, right: int, state: int) -> int:
        """Return the pdf of a state (from 0) of a phone id between two phone ids (0 at an edge)."""
        assert 1 <= phone <= len(self._first_root), f"phone id {phone} of {len(self._first_root)}"
        node = self.nodes[self.root(phone, state)]
        while isinstance(node, Split):
            context = left if node.side == LEFT else right
            node = self.nodes[node.yes if context in self._contexts[node.question] else node.no]
        assert self._owner[node.pdf_id] == (phone, state), f"state {state} of phone id {phone}"
        return node.pdf_id

    def phone_and_state(self, pdf_id: int) -> tuple[int, int]:
        """Return the phone id and the state that a pdf belongs to."""
        return self._owner[pdf_id]

    def to_json(self) -> dict[str, Any]:
        """Return the tree as JSON-like; a leaf is ``[pdf_id]``, a split ``[side, question, yes, no]``."""
        return {
            "kind": self.kind,
            "phone_set": self.phone_set.to_json(),
            "topology": self.topology.to_json(),
            "questions": [list(question) for question in self.questions],
            "nodes": [
                [node.pdf_id] if isinstance(node, Leaf) else [node.side, node.question, node.yes, node.no]
                for node in self.nodes
            ],
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> TriphoneTree:
        """Return the tree that :meth:`to_json` described.

        Raises:
            ModelError: When it is damaged.
        """
        return cls(
            PhoneSet.from_json(value["phone_set"]),
            HmmTopology.from_json(value["topology"]),
            [tuple(question) for question in value["questions"]],
            [_node(fields) for fields in value["nodes"]],
        )


def _node(fields: Any) -> Node:
    match fields:
        case [int(pdf_id)]:
            return Leaf(pdf_id)
        case [str(side), int(question), int(yes), int(no)]:
            return Split(side, question, yes, no)
    raise _damaged(f"a node is {fields!r:.60}")


def _context_ids(question: tuple[str, ...], phone_set: PhoneSet) -> frozenset[int]:
    unknown = [phone for phone in question if phone not in phone_set]
    if unknown:
        raise _damaged(f'a question asks for the phone "{unknown[0]}", which is not in its phone set')
    ids = {phone_set.phone_id(phone) for phone in question}
    return frozenset(ids | {UTTERANCE_EDGE}) if phone_set.silence_id in ids else frozenset(ids)


def _damaged(what: str) -> ModelError:
    return ModelError(f"the senone tree is damaged: {what}", hint="run the align stage again")
