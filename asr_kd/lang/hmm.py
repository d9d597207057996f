"""The hidden Markov model that every later stage loads: phones, topology, senone tree, self-loops."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from asr_kd.atomic import write_json
from asr_kd.errors import ModelError
from asr_kd.fingerprint import fingerprint
from asr_kd.lang.phones import PhoneSet
from asr_kd.lang.topology import HmmTopology
from asr_kd.lang.tree import UTTERANCE_EDGE, MonophoneTree, SenoneTree, tree_from_json

__all__ = ["Hmm", "HmmTopology", "monophone_hmm"]

_INITIAL_SELF_LOOP = 0.75
_NUM_SHOWN = 8


class Hmm:
    """Phones, the states of each phone, their pdfs and their self-loop probabilities.

    Args:
        phone_set: The phones, silence first.
        topology: States of each phone.
        tree: Gives each state its pdf.
        self_loop_probability: Of each pdf ``[S]``, or one for all.

    Raises:
        ModelError: When the tree was made for other phones or states, a probability is not between 0 and 1
            or their number is not the number of pdfs.
    """

    def __init__(
        self,
        phone_set: PhoneSet,
        topology: HmmTopology,
        tree: SenoneTree,
        self_loop_probability: np.ndarray[Any, Any] | float = _INITIAL_SELF_LOOP,
    ) -> None:
        self.phone_set = phone_set
        self.topology = topology
        self.tree = tree
        _check_tree(tree, phone_set, topology)
        if isinstance(self_loop_probability, np.ndarray) and self_loop_probability.shape != (tree.num_pdfs,):
            raise ModelError(
                "self-loop probabilities do not fit the senone tree",
                expected=f"shape ({tree.num_pdfs},)",
                got=self_loop_probability.shape,
            )
        probability = np.broadcast_to(np.asarray(self_loop_probability, dtype=np.float64), (tree.num_pdfs,))
        if not bool(np.all((probability > 0) & (probability < 1))):
            raise ModelError("a self-loop probability is not between 0 and 1")
        self.self_loop_probability: np.ndarray[Any, Any] = probability.copy()  # [S]
        self.self_loop_probability.flags.writeable = False

    @property
    def num_pdfs(self) -> int:
        """Number of senones S."""
        return self.tree.num_pdfs

    @property
    def fingerprint(self) -> str:
        """Fingerprint of all of the model, self-loops included; ``tree.fingerprint`` is the senones' own."""
        return fingerprint(self.to_json())

    def num_states(self, phone_id: int) -> int:
        """Return the number of states of a phone, which is its shortest duration in frames."""
        return self.topology.states_of(phone_id == self.phone_set.silence_id)

    def pdf_ids(self, phone_id: int, left: int = UTTERANCE_EDGE, right: int = UTTERANCE_EDGE) -> list[int]:
        """Return the pdfs of a phone's states between two phone ids; alone by default."""
        num_states = self.num_states(phone_id)
        return [self.tree.pdf_id(left, phone_id, right, state) for state in range(num_states)]

    def with_self_loops(self, self_loop_probability: np.ndarray[Any, Any]) -> Hmm:
        """Return the same model with other self-loop probabilities ``[S]``."""
        return Hmm(self.phone_set, self.topology, self.tree, self_loop_probability)

    def to_json(self) -> dict[str, Any]:
        """Return the model as a JSON-like value."""
        return {
            "phone_set": self.phone_set.to_json(),
            "topology": self.topology.to_json(),
            "tree": self.tree.to_json(),
            "self_loop_probability": self.self_loop_probability.tolist(),
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Hmm:
        """Return the model that :meth:`to_json` described."""
        return cls(
            PhoneSet.from_json(value["phone_set"]),
            HmmTopology.from_json(value["topology"]),
            tree_from_json(value["tree"]),
            np.array(value["self_loop_probability"], dtype=np.float64),
        )

    def save(self, path: Path) -> None:
        """Write the model as JSON, atomically."""
        write_json(path, self.to_json())

    @classmethod
    def load(cls, path: Path) -> Hmm:
        """Read the model that :meth:`save` wrote.

        Raises:
            ModelError: When the file is missing or is not such a model.
        """
        if not path.is_file():
            raise ModelError("no HMM is stored here", where=path, hint="run the align stage")
        try:
            return cls.from_json(json.loads(path.read_text(encoding="utf-8")))
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise ModelError(f"not a stored HMM: {error!r}", where=path) from None


def _check_tree(tree: SenoneTree, phone_set: PhoneSet, topology: HmmTopology) -> None:
    if tree.topology != topology:
        raise ModelError(
            "the senone tree was made for another topology", expected=topology, got=tree.topology
        )
    if tree.phone_set == phone_set:
        return
    ours, theirs = set(phone_set.phones), set(tree.phone_set.phones)
    named = " ".join(sorted(ours ^ theirs)[:_NUM_SHOWN]) or "another order"
    raise ModelError(
        "the senone tree was made for another phone set",
        expected=f"the {len(ours)} phones of the lexicon",
        got=f"{len(theirs)} phones; the difference: {named}",
        hint="build the tree from this lexicon: run the align stage again",
    )


def monophone_hmm(phone_set: PhoneSet, topology: HmmTopology | None = None) -> Hmm:
    """Return an untrained monophone model: a pdf of its own for each state of each phone."""
    shape = topology or HmmTopology()
    return Hmm(phone_set, shape, MonophoneTree(phone_set, shape))
