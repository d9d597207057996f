"""Stage 2: audio becomes normalised feature frames, for the models and for the aligner."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from asr_kd.extraction import FeatureConfig, extract_split
from asr_kd.stages.base import Stage, WorkDir


class FeaturesStage(Stage):
    """Writes ``features/<key>/<split>`` for each distinct feature setting.

    Args:
        configs: Feature settings; doubles are extracted once.
        search_path: The recipe's folder, where a user's frontend may lie.
    """

    name = "features"
    needs = ("prepare",)

    def __init__(self, configs: Sequence[FeatureConfig], search_path: Path | None) -> None:
        self.configs = {config.key: config for config in configs}
        self.search_path = search_path

    def settings(self) -> dict[str, Any]:
        """Return every feature setting with its frontend's fingerprint."""
        return {
            key: {
                **config.model_dump(mode="json"),
                "fingerprint": config.load(self.search_path).spec.fingerprint,
            }
            for key, config in self.configs.items()
        }

    def outputs(self, work: WorkDir) -> list[Path]:
        """Return one folder a setting and split."""
        return [work.features(key, split) for key in self.configs for split in work.splits()]

    def run(self, work: WorkDir) -> dict[str, Any]:
        """Extract all features."""
        summary: dict[str, Any] = {}
        for key, config in self.configs.items():
            frontend = config.load(self.search_path)
            for split in work.splits():
                folder = work.features(key, split)
                num_frames = extract_split(work.utterances(split), frontend, config, folder)
                summary[f"{key}/{split}"] = f"{num_frames:,} frames"
        return summary
