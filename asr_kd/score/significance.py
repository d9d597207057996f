"""Intervals and comparisons of rates by the paired bootstrap.

All rates here are ratios of sums over utterances: errors over reference words, right frames over
frames. Whole utterances, or whole speakers, are drawn with replacement, because errors within one
are not independent. What the intervals hold is the accident of the test set; the accident of
training is the standard deviation over seeds, which stands beside them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from asr_kd.errors import ScoringError
from asr_kd.score.frame_accuracy import FrameCounts
from asr_kd.score.wer import WerResult

MIN_SPEAKERS = 10
"""With fewer speakers their resampling says little, and utterances are drawn instead."""

MIN_UNITS = 6
"""With fewer utterances there is no interval: drawn again, so few are too much alike. Of five that all speak
for one system a sign test has p = 0.06, of six 0.03."""

_DRAWS_AT_ONCE = 4_000_000

Array = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class RateCounts:
    """Numerator and denominator of a rate for each utterance.

    Attributes:
        utt_ids: Sorted.
        numerator: [U] errors or right frames.
        denominator: [U] reference words or frames; some may be 0.
        higher_is_better: True for an accuracy, False for an error rate.
    """

    utt_ids: tuple[str, ...]
    numerator: Array = field(repr=False)
    denominator: Array = field(repr=False)
    higher_is_better: bool

    @property
    def rate(self) -> float:
        """Ratio of the sums, as a fraction."""
        return float(self.numerator.sum() / self.denominator.sum())


@dataclass(frozen=True)
class Bootstrap:
    """How to resample; the same object gives the same resamples, so comparisons are paired.

    Attributes:
        num_resamples: Number of resampled test sets.
        seed: Of the draws.
        level: Probability that an interval should cover.
        speakers: Speaker by utt_id; speakers are drawn when there are at least ``MIN_SPEAKERS``.
    """

    num_resamples: int = 10_000
    seed: int = 0
    level: float = 0.95
    speakers: Mapping[str, str] | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Interval:
    """An interval of a rate.

    Attributes:
        low: As a fraction.
        high: As a fraction.
        level: Probability that it should cover.
        resampled: What was drawn: ``utterances`` or ``speakers``; ``words`` where there was no
            error to resample and the upper end is the exact binomial one.
    """

    low: float
    high: float
    level: float
    resampled: str


@dataclass(frozen=True)
class Difference:
    """Difference of two systems on the same utterances.

    Attributes:
        mean: Observed difference, as a fraction.
        low: Lower end of its interval; None, like the others, where too few utterances were scored.
        high: Upper end of its interval.
        p_value: Two-sided: how often resampling turns the difference round, but no less than a sign test of
            as many utterances or speakers can give.
    """

    mean: float
    low: float | None
    high: float | None
    p_value: float | None

    @property
    def told(self) -> int:
        """1 or -1, the sign of a difference that is told from none: its interval leaves out 0; else 0."""
        if self.low is None or self.high is None:
            return 0
        return int(self.low > 0) - int(self.high < 0)


@dataclass(frozen=True)
class GainKept:
    """Share of the ensemble's gain over the baseline that the student keeps.

    Attributes:
        ensemble_gain: Of the ensemble over the baseline; positive is better, for errors too.
        student_gain: Of the student over the baseline.
        value: As a fraction; None where the ensemble's gain cannot be told from none.
        low: Lower end of the interval of ``value``.
        high: Upper end of the interval of ``value``.
    """

    ensemble_gain: Difference
    student_gain: Difference
    value: float | None = None
    low: float | None = None
    high: float | None = None

    @property
    def meaningful(self) -> bool:
        """Whether there is a gain to keep a share of."""
        return self.value is not None


def error_counts(result: WerResult) -> RateCounts:
    """Return errors over reference words of each utterance."""
    scores = sorted(result.utterances, key=lambda utt: utt.utt_id)
    return RateCounts(
        tuple(utt.utt_id for utt in scores),
        np.array([utt.num_errors for utt in scores], dtype=np.float64),
        np.array([utt.num_reference_words for utt in scores], dtype=np.float64),
        higher_is_better=False,
    )


def correct_frame_counts(counts: Mapping[str, FrameCounts]) -> RateCounts:
    """Return right frames over frames of each utterance; one without a frame is left out."""
    utt_ids = tuple(sorted(utt_id for utt_id in counts if counts[utt_id].total))
    if not utt_ids:
        raise ScoringError("no frames to score", expected="at least one frame")
    return RateCounts(
        utt_ids,
        np.array([counts[utt_id].correct for utt_id in utt_ids], dtype=np.float64),
        np.array([counts[utt_id].total for utt_id in utt_ids], dtype=np.float64),
        higher_is_better=True,
    )


def mean_counts(seeds: Sequence[RateCounts]) -> RateCounts:
    """Return the mean over seeds of their counts on the same utterances; its rate is their mean rate.

    Raises:
        ScoringError: When there is no seed, or they were scored on different utterances.
    """
    if not seeds:
        raise ScoringError("no counts to average", expected="at least one seed")
    _check_same_utterances(seeds)
    numerator = np.mean([counts.numerator for counts in seeds], axis=0)
    first = seeds[0]
    return RateCounts(first.utt_ids, numerator, first.denominator, first.higher_is_better)


def sd_over_seeds(values: Sequence[float]) -> float | None:
    """Return the standard deviation (n - 1) of one value a seed; None for a single seed."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


def rate_interval(counts: RateCounts, bootstrap: Bootstrap = Bootstrap()) -> Interval | None:
    """Return the percentile interval of a rate; None for errors where fewer than ``MIN_UNITS`` have words.

    Source: Bisani & Ney 2004, "Bootstrap estimates for confidence intervals in ASR performance
    evaluation". Where no error was seen every resample is 0, so that the upper end is
    the binomial one of Clopper & Pearson 1934 for the number of words.
    """
    if not counts.higher_is_better and not counts.numerator.any():
        tail = (1 - bootstrap.level) / 2
        return Interval(0.0, float(1 - tail ** (1 / counts.denominator.sum())), bootstrap.level, "words")
    if _num_units(counts, bootstrap) < MIN_UNITS:
        return None
    low, high = _percentiles(_resampled_rates([counts], bootstrap)[0], bootstrap.level)
    return Interval(low, high, bootstrap.level, resampled_unit(counts.utt_ids, bootstrap))


def difference(a: RateCounts, b: RateCounts, bootstrap: Bootstrap = Bootstrap()) -> Difference:
    """Return the rate of ``a`` minus the rate of ``b``, both drawn on the same utterances each time.

    Raises:
        ScoringError: When the two were scored on different utterances.

    Source: Bisani & Ney 2004 (probability of improvement).
    """
    rates = _resampled_rates([a, b], bootstrap)
    return _difference(a.rate - b.rate, rates[0] - rates[1], bootstrap.level, _num_units(a, bootstrap))


def gain_kept(
    baseline: RateCounts, ensemble: RateCounts, student: RateCounts, bootstrap: Bootstrap = Bootstrap()
) -> GainKept:
    """Return (baseline - student) / (baseline - ensemble) with an interval from the same resamples.

    The ratio means something only where the ensemble is better than the baseline: where the
    interval of that gain reaches 0, ``value`` is None and the two gains have to speak.

    Args:
        baseline: Of one seed, or :func:`mean_counts` of several.
        ensemble: On the same utterances.
        student: On the same utterances.
        bootstrap: How to resample.

    Raises:
        ScoringError: When they were scored on different utterances.
    """
    rates = _resampled_rates([baseline, ensemble, student], bootstrap)
    sign = 1.0 if baseline.higher_is_better else -1.0
    ensemble_gains = sign * (rates[1] - rates[0])
    student_gains = sign * (rates[2] - rates[0])
    num_units = _num_units(baseline, bootstrap)
    ensemble_gain, student_gain = (
        _difference(sign * (system.rate - baseline.rate), gains, bootstrap.level, num_units)
        for system, gains in ((ensemble, ensemble_gains), (student, student_gains))
    )
    if ensemble_gain.told <= 0:
        return GainKept(ensemble_gain, student_gain)
    low, high = _percentiles(_gain_ratios(student_gains, ensemble_gains), bootstrap.level)
    assert np.isfinite([low, high]).all(), "the tails hold fewer endless ratios than the interval leaves out"
    return GainKept(ensemble_gain, student_gain, student_gain.mean / ensemble_gain.mean, low, high)


def _gain_ratios(student_gains: Array, ensemble_gains: Array) -> Array:
    """Return student over ensemble; endless in the few resamples in which the ensemble gains nothing."""
    endless = np.copysign(np.inf, student_gains)
    return np.divide(student_gains, ensemble_gains, out=endless, where=ensemble_gains > 0)


def resampled_unit(utt_ids: Sequence[str], bootstrap: Bootstrap) -> str:
    """Return what is drawn for these utterances: ``speakers`` or ``utterances``."""
    speakers = bootstrap.speakers
    if speakers is None:
        return "utterances"
    for utt_id in utt_ids:
        if utt_id not in speakers:
            raise ScoringError("utterance has no speaker", where=utt_id, hint="name every speaker or none")
    return "speakers" if len({speakers[utt_id] for utt_id in utt_ids}) >= MIN_SPEAKERS else "utterances"


def _num_units(counts: RateCounts, bootstrap: Bootstrap) -> int:
    """Return how many speakers or utterances are drawn that have a word or frame."""
    utt_ids = [utt_id for utt_id, each in zip(counts.utt_ids, counts.denominator, strict=True) if each]
    if resampled_unit(counts.utt_ids, bootstrap) == "utterances":
        return len(utt_ids)
    assert bootstrap.speakers is not None
    return len({bootstrap.speakers[utt_id] for utt_id in utt_ids})


def _check_same_utterances(systems: Sequence[RateCounts]) -> None:
    first = systems[0]
    for other in systems[1:]:
        if other.utt_ids != first.utt_ids:
            differing = sorted(set(first.utt_ids) ^ set(other.utt_ids))
            raise ScoringError(
                "systems were scored on different utterances", got=f"only one has {', '.join(differing[:3])}"
            )
        unequal = np.flatnonzero(other.denominator != first.denominator)
        if unequal.size:
            raise ScoringError(
                "systems were scored against different references",
                where=first.utt_ids[unequal[0]],
                expected=f"{first.denominator[unequal[0]]:g} words or frames",
                got=f"{other.denominator[unequal[0]]:g}",
            )


def _resampled_rates(systems: Sequence[RateCounts], bootstrap: Bootstrap) -> Array:
    """Return the rates [K, B] of K systems in B resampled test sets, but of none without a word or frame."""
    _check_same_utterances(systems)
    columns = np.stack(
        [*(counts.numerator for counts in systems), systems[0].denominator], axis=1
    )  # [U, K+1]
    utt_ids = systems[0].utt_ids
    if resampled_unit(utt_ids, bootstrap) == "speakers":
        assert bootstrap.speakers is not None
        names = [bootstrap.speakers[utt_id] for utt_id in utt_ids]
        _, speaker_of_utterance = np.unique(names, return_inverse=True)
        sums = np.zeros((speaker_of_utterance.max() + 1, columns.shape[1]))
        np.add.at(sums, speaker_of_utterance, columns)
        columns = sums
    sums = _resampled_sums(columns, bootstrap)  # [B, K+1]
    sums = sums[sums[:, -1] > 0]
    return (sums[:, :-1] / sums[:, -1:]).T


def _resampled_sums(columns: Array, bootstrap: Bootstrap) -> Array:
    """Return sums [B, C] over as many rows as there are, drawn with replacement from columns [U, C]."""
    rng = np.random.default_rng(bootstrap.seed)
    num_units = len(columns)
    sums = np.empty((bootstrap.num_resamples, columns.shape[1]))
    rows = max(1, _DRAWS_AT_ONCE // num_units)
    for first in range(0, bootstrap.num_resamples, rows):
        num_rows = min(rows, bootstrap.num_resamples - first)
        draws = rng.integers(num_units, size=(num_rows, num_units))
        draws += num_units * np.arange(num_rows)[:, None]
        times_drawn = np.bincount(draws.ravel(), minlength=draws.size).reshape(draws.shape)
        sums[first : first + num_rows] = times_drawn @ columns
    return sums


def _percentiles(values: Array, level: float) -> tuple[float, float]:
    tail = (1 - level) / 2
    # An observed value at each end: interpolation beside an infinite one would give nan.
    low, high = np.quantile(values, [tail, 1 - tail], method="inverted_cdf")
    return float(low), float(high)


def _difference(observed: float, resampled: Array, level: float, num_units: int) -> Difference:
    if num_units < MIN_UNITS:
        return Difference(observed, None, None, None)
    low, high = _percentiles(resampled, level)
    turned = min(np.count_nonzero(resampled <= 0), np.count_nonzero(resampled >= 0))
    # One is added to both so that a finite number of resamples never claims a probability of 0.
    p_value = min(1.0, 2 * (turned + 1) / (len(resampled) + 1))
    return Difference(observed, low, high, max(float(p_value), 2.0 ** (1 - num_units)))
