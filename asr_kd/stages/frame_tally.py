"""What is counted of a decoded system's frames: right ones, how sure it was, what it confuses, who agrees."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from asr_kd.atomic import write_json
from asr_kd.lang.hmm import Hmm
from asr_kd.score.agreement import Agreement
from asr_kd.score.calibration import Calibration
from asr_kd.score.frame_accuracy import FrameCounts, count_frames
from asr_kd.stages.base import WorkDir
from asr_kd.stages.labels import read_hmm


class FrameTally:
    """Counts over a split's aligned frames, one utterance after another.

    Args:
        hmm: Tells whose senones are whose phones.

    Attributes:
        counts: Right frames and all frames by utt_id.
        calibration: Of the best senone's posterior.
        phones: int64 ``[P, P]``, frames by the ids of their aligned (row) and found phone (column).
        agreement: Of the nets; None before the first utterance that several nets score.
    """

    def __init__(self, hmm: Hmm) -> None:
        self._phone_of = np.array([hmm.tree.phone_and_state(pdf_id)[0] for pdf_id in range(hmm.num_pdfs)])
        self.counts: dict[str, FrameCounts] = {}
        self.calibration = Calibration()
        num_ids = int(self._phone_of.max()) + 1
        self.phones = np.zeros((num_ids, num_ids), dtype=np.int64)
        self.agreement: Agreement | None = None

    def add(
        self,
        utt_id: str,
        log_posteriors: NDArray[np.float32],
        alignment: NDArray[Any],
        votes: NDArray[np.int64] | None = None,
    ) -> None:
        """Count an utterance.

        Args:
            utt_id: Of the utterance.
            log_posteriors: ``[T, S]``, up to a constant of the frame.
            alignment: pdf_ids ``[T]``.
            votes: Best senone of each net ``[N, T]``, where several are averaged.
        """
        if votes is not None and len(votes) > 1:
            self.agreement = self.agreement or Agreement(len(votes))
            self.agreement.add(votes, alignment)
        found = log_posteriors.argmax(axis=1)
        self.counts[utt_id] = count_frames(found, alignment, utt_id)
        best = np.exp(log_posteriors.max(axis=1) - logsumexp(log_posteriors, axis=1))
        self.calibration.add(best, found == alignment)
        np.add.at(self.phones, (self._phone_of[alignment], self._phone_of[found]), 1)

    def write(self, folder: Path, split: str) -> None:
        """Write the counts beside a system's hypotheses."""
        frames = {utt_id: [count.correct, count.total] for utt_id, count in self.counts.items()}
        write_json(folder / f"{split}-frames.json", frames)
        write_json(folder / f"{split}-calibration.json", self.calibration.to_json())
        write_json(folder / f"{split}-phones.json", self.phones.tolist())
        if self.agreement is not None:
            write_json(folder / f"{split}-agreement.json", self.agreement.to_json())


def read_counts(work: WorkDir, name: str, split: str) -> dict[str, FrameCounts]:
    """Return the right frames of a decoded system by utt_id."""
    counts = json.loads((work.decode / name / f"{split}-frames.json").read_text(encoding="utf-8"))
    return {utt_id: FrameCounts(*count) for utt_id, count in counts.items()}


def read_calibration(work: WorkDir, names: Sequence[str], split: str) -> Calibration | None:
    """Return the calibration over some decoded systems together; None where an older version decoded."""
    paths = [work.decode / name / f"{split}-calibration.json" for name in names]
    if not all(path.is_file() for path in paths):
        return None
    return Calibration.summed([json.loads(path.read_text(encoding="utf-8")) for path in paths])


def read_agreement(work: WorkDir, name: str, split: str) -> Agreement | None:
    """Return the agreement of a decoded system's nets; None where it has one, or an older version decoded."""
    path = work.decode / name / f"{split}-agreement.json"
    return Agreement.of(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None


def read_phone_confusions(work: WorkDir, names: Sequence[str], split: str) -> dict[tuple[str, str], float]:
    """Return the share of all frames by aligned and found phone, of different ones, over some systems."""
    paths = [work.decode / name / f"{split}-phones.json" for name in names]
    if not all(path.is_file() for path in paths):
        return {}
    counts = np.sum([json.loads(path.read_text(encoding="utf-8")) for path in paths], axis=0)
    phone_set, total = read_hmm(work).phone_set, max(1, counts.sum())
    return {
        (phone_set.phone(int(row)), phone_set.phone(int(column))): float(counts[row, column] / total)
        for row, column in np.argwhere(counts)
        if row != column
    }
