"""Votes tied, and yet another system's word took the first one's place: rounding to float32 decided."""

from __future__ import annotations

import pytest

from asr_kd.decode.word_lattice import vote


@pytest.mark.parametrize(
    ("hypotheses", "voted"),
    [
        (("c x", "b y", "b y", "c z"), "c y"),
        (("b x", "c y", "c y", "b z"), "b y"),
        (("c x", "b y", "b w", "c z"), "c x"),
        (("c x", "b y", "b y", "c z", "b y", "c w"), "c y"),
    ],
)
def test_leaves_the_first_systems_word(hypotheses: tuple[str, ...], voted: str) -> None:
    assert " ".join(vote([each.split() for each in hypotheses])) == voted
