"""From the scores of every system to the rows of the result table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from asr_kd.errors import ScoringError
from asr_kd.report.results import Measure, ResultRow, WordErrors
from asr_kd.score.frame_accuracy import FrameCounts
from asr_kd.score.significance import (
    Bootstrap,
    GainKept,
    RateCounts,
    correct_frame_counts,
    error_counts,
    gain_kept,
    mean_counts,
    rate_interval,
    sd_over_seeds,
)
from asr_kd.score.wer import WerResult


@dataclass(frozen=True)
class SystemScores:
    """What was measured of one system on one split.

    Attributes:
        system: Its name in the table.
        seeds: As in :class:`ResultRow`.
        words: One result a scored run; empty where there is no reference text.
        frames: Frame counts by utt_id, one mapping a scored run; empty where there is no alignment.
        num_parameters: Of all nets that a frame passes through.
        real_time_factor: Seconds of one core for a second of audio.
    """

    system: str
    seeds: tuple[int, ...]
    words: Sequence[WerResult] = ()
    frames: Sequence[Mapping[str, FrameCounts]] = ()
    num_parameters: int | None = None
    real_time_factor: float | None = None

    def word_counts(self) -> list[RateCounts]:
        """Return errors over words of each run."""
        return [error_counts(result) for result in self.words]

    def correct_frames(self) -> list[RateCounts]:
        """Return right frames over frames of each run."""
        return [correct_frame_counts(counts) for counts in self.frames]


def result_rows(
    baseline: SystemScores,
    ensemble: SystemScores,
    others: Sequence[SystemScores],
    split: str,
    bootstrap: Bootstrap,
) -> list[ResultRow]:
    """Return the rows of one split: baseline, ensemble, then the others with the gain that they keep.

    Args:
        baseline: All its seeds; the gain is over their mean.
        ensemble: The system whose gain is to be kept.
        others: Usually the student alone.
        split: Name of the split.
        bootstrap: One plan for all rows, so that all of them are compared on the same resamples.

    Raises:
        ScoringError: When systems were scored on different utterances.
    """
    rows = [result_row(baseline, split, bootstrap), result_row(ensemble, split, bootstrap)]
    for system in others:
        gains = {
            "wer_gain": _gain(
                baseline.word_counts(), ensemble.word_counts(), system.word_counts(), bootstrap
            ),
            "frame_accuracy_gain": _gain(
                baseline.correct_frames(), ensemble.correct_frames(), system.correct_frames(), bootstrap
            ),
        }
        rows.append(result_row(system, split, bootstrap).model_copy(update=gains))
    return rows


def result_row(scores: SystemScores, split: str, bootstrap: Bootstrap) -> ResultRow:
    """Return one system's row, which is compared with no other.

    Raises:
        ScoringError: When words and frames were scored for different numbers of runs.
    """
    if scores.words and scores.frames and len(scores.words) != len(scores.frames):
        raise ScoringError(
            "words and frames were scored for different numbers of runs",
            where=scores.system,
            expected=len(scores.words),
            got=len(scores.frames),
        )
    return ResultRow(
        system=scores.system,
        split=split,
        seeds=scores.seeds,
        num_runs=max(len(scores.words), len(scores.frames), 1),
        frame_accuracy=_measure(scores.correct_frames(), bootstrap),
        wer=_measure(scores.word_counts(), bootstrap),
        errors=_sum_of_errors(scores.words) if scores.words else None,
        num_parameters=scores.num_parameters,
        real_time_factor=scores.real_time_factor,
    )


def _measure(runs: Sequence[RateCounts], bootstrap: Bootstrap) -> Measure | None:
    if not runs:
        return None
    mean = mean_counts(runs)
    return Measure(
        mean=mean.rate,
        sd=sd_over_seeds([run.rate for run in runs]),
        interval=rate_interval(mean, bootstrap),
    )


def _sum_of_errors(runs: Sequence[WerResult]) -> WordErrors:
    return WordErrors(
        substitutions=sum(run.substitutions for run in runs),
        deletions=sum(run.deletions for run in runs),
        insertions=sum(run.insertions for run in runs),
        num_reference_words=sum(run.num_reference_words for run in runs),
    )


def _gain(
    baseline: Sequence[RateCounts],
    ensemble: Sequence[RateCounts],
    system: Sequence[RateCounts],
    bootstrap: Bootstrap,
) -> GainKept | None:
    if not (baseline and ensemble and system):
        return None
    return gain_kept(mean_counts(baseline), mean_counts(ensemble), mean_counts(system), bootstrap)
