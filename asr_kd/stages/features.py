"""Stage 2: audio becomes normalised feature frames, for the models and for the aligner."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from asr_kd.extraction import FeatureConfig, ViewConfig, extract_split, view_name
from asr_kd.stages.base import Stage, WorkDir

VIEWED_SPLITS = ("train", "transfer")
"""Splits that the student learns from: they alone have augmented views."""


class FeaturesStage(Stage):
    """Writes ``features/<key>/<split>`` for each distinct feature setting, and ``<split>-viewN`` for views.

    Args:
        aligner: Feature settings of the aligner.
        nets: Feature settings of teachers and student; doubles are extracted once.
        views: Augmented copies for the student.
        search_path: The recipe's folder, where a user's frontend may lie.
    """

    name = "features"
    needs = ("prepare",)

    def __init__(
        self,
        aligner: FeatureConfig,
        nets: Sequence[FeatureConfig],
        views: ViewConfig,
        search_path: Path | None,
    ) -> None:
        self.nets = {config.key: config for config in nets}
        self.configs = {aligner.key: aligner, **self.nets}
        self.views = views
        self.search_path = search_path

    def settings(self) -> dict[str, Any]:
        """Return every feature setting with its frontend's fingerprint, and the views where there are any."""
        settings: dict[str, Any] = {
            key: {
                **config.model_dump(mode="json"),
                "fingerprint": config.load(self.search_path).spec.fingerprint,
            }
            for key, config in self.configs.items()
        }
        if self.views.count:
            settings["views"] = self.views.model_dump(mode="json")
        return settings

    def outputs(self, work: WorkDir) -> list[Path]:
        """Return one folder a setting, split and view."""
        return [work.features(key, split, view_name(view)) for key, split, view in self._parts(work)]

    def _parts(self, work: WorkDir) -> list[tuple[str, str, int]]:
        return [
            (key, split, view)
            for key in self.configs
            for split in work.splits()
            for view in (self.views.numbers() if key in self.nets and split in VIEWED_SPLITS else (0,))
        ]

    def run(self, work: WorkDir) -> dict[str, Any]:
        """Extract all features."""
        summary: dict[str, Any] = {}
        for key, split, view in self._parts(work):
            config = self.configs[key]
            frontend = config.load(self.search_path)
            folder = work.features(key, split, view_name(view))
            num_frames = extract_split(
                work.utterances(split), frontend, config, folder, view, self.views.augment
            )
            summary[f"{key}/{folder.name}"] = f"{num_frames:,} frames"
        return summary
