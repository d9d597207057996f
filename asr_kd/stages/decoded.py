"""What a system's hypotheses depend on, so that those of a system that did not change are found again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from asr_kd.decode.beam import DecodeConfig
from asr_kd.decode.tune import TuningGrid
from asr_kd.fingerprint import file_sha256, fingerprint
from asr_kd.recogniser import SystemCard
from asr_kd.stages.acoustics import MixtureCard
from asr_kd.stages.base import WorkDir
from asr_kd.stages.labels import alignment_fingerprint, label_fingerprint

MADE_AS = "made_as"
"""Key in the JSON files of decoding: by split, the fingerprint of what it was made from."""


def tuned_as(
    work: WorkDir,
    graph: str,
    cards: Iterable[SystemCard | MixtureCard],
    grid: TuningGrid,
    search: DecodeConfig,
    num_utterances: int,
) -> dict[str, str]:
    """Return the fingerprint of all that a system's scale and penalty, chosen on dev, depend on.

    Args:
        work: The work folder.
        graph: Fingerprint of the decoding graph.
        cards: The seeds whose errors are added up.
        grid: The values to choose from.
        search: Before tuning.
        num_utterances: Most dev utterances that are decoded.
    """
    words = work.score_words
    made_as = fingerprint(
        {
            "graph": graph,
            "systems": [_system(work, card) for card in cards],
            "grid": asdict(grid),
            "search": asdict(search),
            "utterances": [file_sha256(work.manifest("dev")), num_utterances],
            "score_words": file_sha256(words) if words.is_file() else None,
        }
    )
    return {"dev": made_as}


def decoded_as(
    work: WorkDir,
    graph: str,
    card: SystemCard | MixtureCard,
    search: DecodeConfig,
    splits: Iterable[str],
) -> dict[str, str]:
    """Return the fingerprint of all that a system's hypotheses and frame counts of each split depend on.

    Args:
        work: The work folder.
        graph: Fingerprint of the decoding graph.
        card: The system.
        search: As tuned.
        splits: What is decoded.
    """
    shared = {"graph": graph, "system": _system(work, card), "search": asdict(search)}

    def made_as(split: str) -> str:
        own = {"utterances": file_sha256(work.manifest(split)), "labels": alignment_fingerprint(work, split)}
        return fingerprint({**shared, **own})

    return {split: made_as(split) for split in splits}


def was_made_as(path: Path, made_as: Mapping[str, str]) -> bool:
    """Return whether a JSON file of decoding is there and has all that was made from just this."""
    if not path.is_file():
        return False
    found: dict[str, str] = json.loads(path.read_text(encoding="utf-8")).get(MADE_AS, {})
    return made_as.items() <= found.items()


def _system(work: WorkDir, card: SystemCard | MixtureCard) -> dict[str, Any]:
    if isinstance(card, MixtureCard):
        return {"mixtures": asdict(card), "labels": label_fingerprint(work)}
    files = sorted(path for name in card.models for path in (work.models / name).iterdir())
    return {"card": card.model_dump(mode="json"), "models": [file_sha256(path) for path in files]}
