"""Frame accuracy: the share of frames whose best senone is the aligned one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from asr_kd.errors import ScoringError


@dataclass(frozen=True)
class FrameCounts:
    """Frames of one utterance whose pdf_id is right, and all its frames."""

    correct: int
    total: int

    def __post_init__(self) -> None:
        if not 0 <= self.correct <= self.total:
            raise ScoringError(
                "frame counts are impossible",
                expected="0 <= correct <= total",
                got=(self.correct, self.total),
            )

    @property
    def accuracy(self) -> float:
        """Right frames over all frames, as a fraction."""
        return self.correct / self.total


def count_frames(
    best_pdf_ids: np.ndarray[Any, Any], alignment: np.ndarray[Any, Any], utt_id: str
) -> FrameCounts:
    """Count where the best pdf_id is the aligned one.

    Args:
        best_pdf_ids: int [T], a model's most probable pdf_id of each frame.
        alignment: int [T], the pdf_id of the forced alignment.
        utt_id: For the error.

    Raises:
        ScoringError: When the two have different numbers of frames.
    """
    if best_pdf_ids.shape != alignment.shape or alignment.ndim != 1:
        raise ScoringError(
            "model and alignment disagree about the frames",
            where=utt_id,
            expected=f"shape {alignment.shape}",
            got=best_pdf_ids.shape,
        )
    return FrameCounts(int(np.count_nonzero(best_pdf_ids == alignment)), len(alignment))


def frame_accuracy(counts: Mapping[str, FrameCounts]) -> float:
    """Return right frames over frames of all utterances (not the mean over utterances).

    Raises:
        ScoringError: When there are no frames.
    """
    total = sum(count.total for count in counts.values())
    if not total:
        raise ScoringError("no frames to score", expected="at least one frame")
    return sum(count.correct for count in counts.values()) / total
