"""The senone tree: which pdf scores which state of which phone in which context."""

from __future__ import annotations

from typing import Any, Protocol

from asr_kd.errors import ModelError
from asr_kd.fingerprint import fingerprint
from asr_kd.lang.phones import UTTERANCE_EDGE, PhoneSet
from asr_kd.lang.topology import HmmTopology
from asr_kd.lang.triphone_tree import TriphoneTree

__all__ = ["UTTERANCE_EDGE", "MonophoneTree", "SenoneTree", "TriphoneTree", "tree_from_json"]


class SenoneTree(Protocol):
    """Maps a state of a phone in its context to a pdf_id (a senone)."""

    @property
    def phone_set(self) -> PhoneSet:
        """The phones that it was made for."""
        ...

    @property
    def topology(self) -> HmmTopology:
        """The states that it was made for."""
        ...

    @property
    def num_pdfs(self) -> int:
        """Number of senones S."""
        ...

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the senone inventory."""
        ...

    @property
    def context_width(self) -> int:
        """Number of phones that choose a pdf: 1 for monophones, 3 for triphones."""
        ...

    def pdf_id(self, left: int, phone: int, right: int, state: int) -> int:
        """Return the pdf of a state (from 0) of a phone id between two phone ids (0 at an edge)."""
        ...

    def phone_and_state(self, pdf_id: int) -> tuple[int, int]:
        """Return the phone id and the state that a pdf belongs to."""
        ...

    def to_json(self) -> dict[str, Any]:
        """Return the tree as a JSON-like value that :func:`tree_from_json` reads."""
        ...


class MonophoneTree:
    """Each state of each phone has a pdf of its own, silence first; the context does not matter.

    Args:
        phone_set: The phones.
        topology: Gives the number of states of each phone.
    """

    kind = "monophone"

    def __init__(self, phone_set: PhoneSet, topology: HmmTopology) -> None:
        self.phone_set = phone_set
        self.topology = topology
        self._first_pdf: list[int] = []
        self._owner: list[tuple[int, int]] = []
        for phone_id in range(1, len(phone_set) + 1):
            self._first_pdf.append(len(self._owner))
            num_states = topology.states_of(phone_id == phone_set.silence_id)
            self._owner.extend((phone_id, state) for state in range(num_states))

    @property
    def num_pdfs(self) -> int:
        """Number of senones S."""
        return len(self._owner)

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the senone inventory."""
        return fingerprint(self.to_json())

    @property
    def context_width(self) -> int:
        """1: the phone itself."""
        return 1

    def pdf_id(self, left: int, phone: int, right: int, state: int) -> int:
        """Return the pdf of a state (from 0) of a phone id, whatever its neighbours."""
        assert 1 <= phone <= len(self._first_pdf), f"phone id {phone} of {len(self._first_pdf)}"
        pdf = self._first_pdf[phone - 1] + state
        assert pdf < len(self._owner), f"state {state} of phone id {phone}"
        assert self._owner[pdf] == (phone, state), f"state {state} of phone id {phone}"
        return pdf

    def phone_and_state(self, pdf_id: int) -> tuple[int, int]:
        """Return the phone id and the state that a pdf belongs to."""
        return self._owner[pdf_id]

    def to_json(self) -> dict[str, Any]:
        """Return the tree as a JSON-like value."""
        return {
            "kind": self.kind,
            "phone_set": self.phone_set.to_json(),
            "topology": self.topology.to_json(),
        }


def tree_from_json(value: dict[str, Any]) -> SenoneTree:
    """Return the tree that ``to_json`` described.

    Raises:
        ModelError: For a kind of tree that is not known here, or a damaged one.
    """
    if value.get("kind") == TriphoneTree.kind:
        return TriphoneTree.from_json(value)
    if value.get("kind") != MonophoneTree.kind:
        raise ModelError(
            "unknown kind of senone tree",
            expected=f"{MonophoneTree.kind} or {TriphoneTree.kind}",
            got=value.get("kind"),
        )
    return MonophoneTree(PhoneSet.from_json(value["phone_set"]), HmmTopology.from_json(value["topology"]))
