"""Cards of small nets."""

from __future__ import annotations

import math
from typing import Any

from asr_kd.am.checkpoint import FrontendCard, ModelCard
from asr_kd.am.registry import ArchitectureConfig


def frontend_card(dim: int, **changes: Any) -> FrontendCard:
    """Return the card of a frontend that nobody loads."""
    usual = {
        "name": "fbank",
        "cmvn": "none",
        "frame_shift": 0.01,
        "sampling_rate": 8000,
        "fingerprint": "frontend",
    }
    return FrontendCard(dim=dim, **{**usual, **changes})


def model_card(
    frontend: FrontendCard, num_senones: int, left: int, right: int, *, tree: str = "tree", **options: Any
) -> ModelCard:
    """Return the card of a net with one hidden layer, unless ``options`` say more, and an even prior."""
    return ModelCard(
        architecture=ArchitectureConfig(options={"hidden_layers": 1, **options}),
        frontend=frontend,
        window_left=left,
        window_right=right,
        num_senones=num_senones,
        tree_fingerprint=tree,
        log_prior=[-math.log(num_senones)] * num_senones,
    )
