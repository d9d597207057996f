"""Phones in the context of their neighbours (Kaldi's C)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import kaldifst

from asr_kd.lang.phones import UTTERANCE_EDGE

Triphone = tuple[int, int, int]
"""Phone ids of the left neighbour, the phone itself and the right neighbour; 0 at an edge."""

_WIDTH = 3
_CENTRE = 1


def in_context(phone_fst: Any, disambiguation: Sequence[int] = ()) -> tuple[Any, list[list[int]]]:
    """Give each phone arc the phones beside it.

    Output labels come one phone earlier than before, since a phone is told only with its right neighbour.

    Args:
        phone_fst: ``StdVectorFst`` with phone ids as input labels.
        disambiguation: Input labels that are no phones; with any, the first arcs hold one symbol more.

    Returns:
        ``StdVectorFst`` and what each of its input labels stands for: nothing, the three phone ids of a
        :data:`Triphone`, or one number of 0 or less: a disambiguation symbol.

    Source: Mohri, Pereira & Riley 2008, section 3.2; Kaldi ``fstcomposecontext``.
    """
    # The composition adds the symbol for the edge to its operand, so it gets a copy.
    copy = kaldifst.StdVectorFst(phone_fst)
    fst, labels = kaldifst.compose_context(list(disambiguation), _WIDTH, _CENTRE, copy)
    return fst, labels


def triphones_of(
    phone_ids: Sequence[int], left: int = UTTERANCE_EDGE, right: int = UTTERANCE_EDGE
) -> list[Triphone]:
    """Return each phone of a sequence with its neighbours; ``left`` and ``right`` are those at its ends."""
    padded = [left, *phone_ids, right]
    return list(zip(padded, phone_ids, padded[2:], strict=False))
