"""A model directory of a net with two units."""

from __future__ import annotations

from pathlib import Path

from asr_kd.am.checkpoint import save_model
from tests.support.model_cards import frontend_card, model_card


def save_smallest_model(folder: Path) -> None:
    """Write it, untrained."""
    card = model_card(frontend_card(1), num_senones=2, left=0, right=0, units=2)
    save_model(folder, card.build_net(), card)
