"""A model directory of a net with two units."""

from __future__ import annotations

from pathlib import Path

from asr_kd.am.checkpoint import FrontendCard, ModelCard, save_model
from asr_kd.am.registry import ArchitectureConfig


def save_smallest_model(folder: Path) -> None:
    """Write it, untrained."""
    card = ModelCard(
        architecture=ArchitectureConfig(options={"hidden_layers": 1, "units": 2}),
        frontend=FrontendCard(
            name="fbank", cmvn="none", dim=1, frame_shift=0.01, sampling_rate=8000, fingerprint="f"
        ),
        window_left=0,
        window_right=0,
        num_senones=2,
        tree_fingerprint="t",
        log_prior=[-1.0] * 2,
    )
    save_model(folder, card.build_net(), card)
