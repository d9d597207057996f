"""The decision tree of one phone, to be read by people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from asr_kd.errors import did_you_mean
from asr_kd.lang.phones import PhoneSet
from asr_kd.lang.tree import SenoneTree
from asr_kd.lang.triphone_tree import Split, TriphoneTree

_NUM_SHOWN = 10


@dataclass(frozen=True)
class Branch:
    """A node and all below it.

    Attributes:
        num_frames: Aligned training frames of its senones.
        pdf_id: Of a leaf, else None.
        side: Whose neighbour a split asks for: ``left`` or ``right``; empty for a leaf.
        phones: That a split asks for.
        children: Of a split: where the neighbour is one of these phones, and where it is not.
    """

    num_frames: int
    pdf_id: int | None = None
    side: str = ""
    phones: tuple[str, ...] = ()
    children: tuple[Branch, ...] = ()

    @property
    def num_senones(self) -> int:
        """Number of leaves."""
        return sum(child.num_senones for child in self.children) or 1

    @property
    def text(self) -> str:
        """The question of a split, the senone and its frames of a leaf."""
        if self.pdf_id is not None:
            return f"senone {self.pdf_id}, {self.num_frames:,} frames"
        shown = " ".join(self.phones[:_NUM_SHOWN])
        more = f" and {len(self.phones) - _NUM_SHOWN} more" if len(self.phones) > _NUM_SHOWN else ""
        return f"{self.side} is {shown}{more}?"


def phone_branches(tree: SenoneTree, phone: str, num_frames: Sequence[int]) -> list[Branch]:
    """Return the root of each state of a phone.

    Args:
        tree: Of any kind.
        phone: Its name.
        num_frames: Aligned training frames of each pdf ``[S]``.

    Raises:
        LexiconError: When the tree has no such phone.
    """
    phone_set: PhoneSet = tree.phone_set
    hint = did_you_mean(phone, phone_set.phones) or "give one of them, in upper and lower case as it is there"
    phone_id = phone_set.phone_id(phone, hint=hint)
    states = range(tree.topology.states_of(phone_id == phone_set.silence_id))
    if isinstance(tree, TriphoneTree):
        return [_branch(tree, tree.root(phone_id, state), num_frames) for state in states]
    pdf_ids = [tree.pdf_id(0, phone_id, 0, state) for state in states]
    return [Branch(int(num_frames[pdf_id]), pdf_id) for pdf_id in pdf_ids]


def _branch(tree: TriphoneTree, number: int, num_frames: Sequence[int]) -> Branch:
    node = tree.nodes[number]
    if not isinstance(node, Split):
        return Branch(int(num_frames[node.pdf_id]), node.pdf_id)
    children = (_branch(tree, node.yes, num_frames), _branch(tree, node.no, num_frames))
    phones = tree.questions[node.question]
    return Branch(
        sum(child.num_frames for child in children), side=node.side, phones=phones, children=children
    )


def outline(branches: Sequence[Branch], phone: str) -> Iterator[str]:
    """Yield the lines of a text that shows the trees of a phone's states."""
    for state, branch in enumerate(branches, start=1):
        senones = f"{branch.num_senones} senone{'s' if branch.num_senones > 1 else ''}"
        yield f"{phone}, state {state} of {len(branches)}: {senones}, {branch.num_frames:,} frames"
        yield from _lines(branch, "  ", "")


def _lines(branch: Branch, margin: str, answer: str) -> Iterator[str]:
    yield f"{margin}{answer}{branch.text}"
    for child, name in zip(branch.children, ("yes: ", "no:  "), strict=False):
        yield from _lines(child, f"{margin}  ", name)
