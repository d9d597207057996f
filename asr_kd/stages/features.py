"""Stage 2: audio becomes normalised feature frames, for the models and for the aligner."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from asr_kd.data.augment import AugmentConfig
from asr_kd.data.manifest import LEARNT_SPLITS
from asr_kd.extraction import FeatureConfig, extract_split, view_name
from asr_kd.stages.base import Stage, WorkDir

VIEWED_SPLIT = "train"
"""Whose views nets on hard labels learn."""


class FeaturesStage(Stage):
    """Writes ``features/<key>/<split>`` for each distinct feature setting.

    Views that nets on hard labels learn are kept as ``features/<key>/train-<view>``; other views are made
    where the ensemble labels them, and are not kept.

    Args:
        configs: Feature settings; doubles are extracted once.
        search_path: The recipe's folder, where a user's frontend may lie.
        viewed: Feature settings of which views are kept as well.
        num_views: How many.
        augmentation: From what views are drawn.
        has_transfer: Whether the settings say that the corpus has audio without text, see
            :meth:`WorkDir.normalised_with`.
    """

    name = "features"
    needs = ("prepare",)
    outputs_named_by = ""

    def __init__(
        self,
        configs: Sequence[FeatureConfig],
        search_path: Path | None,
        viewed: Sequence[FeatureConfig] = (),
        num_views: int = 0,
        augmentation: AugmentConfig | None = None,
        has_transfer: bool = False,
    ) -> None:
        self.configs = {config.key: config for config in (*configs, *viewed)}
        self.search_path = search_path
        self.viewed = {config.key for config in viewed} if num_views else set()
        self.num_views = num_views
        self.augmentation = augmentation or AugmentConfig()
        self.has_transfer = has_transfer

    def settings(self) -> dict[str, Any]:
        """Return every feature setting with its frontend's fingerprint, and of which there are views."""
        settings: dict[str, Any] = {
            key: {
                **config.model_dump(mode="json"),
                "fingerprint": config.load(self.search_path).spec.fingerprint,
            }
            for key, config in self.configs.items()
        }
        if self.viewed:
            settings["views"] = {
                "of": sorted(self.viewed),
                "count": self.num_views,
                "augmentation": self.augmentation.fingerprint,
            }
        # A work folder without such audio stays as it is.
        if self.has_transfer:
            settings["normalised_together"] = list(LEARNT_SPLITS)
        return settings

    def outputs(self, work: WorkDir) -> list[Path]:
        """Return one folder a setting, split and view."""
        return [work.features(key, split, view_name(view)) for key, split, view in self._places(work)]

    def _places(self, work: WorkDir) -> Iterator[tuple[str, str, int]]:
        """Yield key, split and view of everything that is extracted."""
        for key in self.configs:
            for split in work.splits():
                num_views = self.num_views if key in self.viewed and split == VIEWED_SPLIT else 0
                yield from ((key, split, view) for view in range(num_views + 1))

    def run(self, work: WorkDir) -> dict[str, Any]:
        """Extract all features."""
        summary: dict[str, Any] = {}
        for key, split, view in self._places(work):
            config = self.configs[key]
            folder = work.features(key, split, view_name(view))
            frontend = config.load(self.search_path)
            own = {row.utt_id for row in work.utterances(split)}
            heard = work.normalised_with(split)
            num_frames = extract_split(heard, frontend, config, folder, view, self.augmentation, own)
            summary[f"{key}/{folder.name}"] = f"{num_frames:,} frames"
        return summary
