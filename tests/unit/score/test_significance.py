"""The bootstrap against analytic values and hand-made cases."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from asr_kd.errors import ScoringError
from asr_kd.score import significance
from asr_kd.score.frame_accuracy import FrameCounts
from asr_kd.score.significance import (
    Bootstrap,
    RateCounts,
    correct_frame_counts,
    difference,
    error_counts,
    gain_kept,
    mean_counts,
    rate_interval,
    resampled_unit,
    sd_over_seeds,
)
from asr_kd.score.wer import score

Z_95 = 1.959964


def _counts(
    numerator: Sequence[float], denominator: float = 1.0, higher_is_better: bool = False
) -> RateCounts:
    ids = tuple(f"u{index:05}" for index in range(len(numerator)))
    return RateCounts(ids, np.array(numerator, dtype=float), np.full(len(ids), denominator), higher_is_better)


def test_interval_of_a_binomial_rate() -> None:
    # 400 utterances of one word, 100 wrong: sd = sqrt(p (1 - p) / n) = 0.02165.
    interval = rate_interval(_counts([1.0] * 100 + [0.0] * 300))
    half = Z_95 * math.sqrt(0.25 * 0.75 / 400)
    assert interval.low == pytest.approx(0.25 - half, abs=0.003)
    assert interval.high == pytest.approx(0.25 + half, abs=0.003)
    assert (interval.level, interval.resampled) == (0.95, "utterances")


def test_errors_that_come_together_widen_the_interval() -> None:
    # The same 100 errors of 400 words, but in utterances of 4 words that are all right or all wrong:
    # the sd is that of 100 draws, twice as large.
    apart = rate_interval(_counts([1.0] * 100 + [0.0] * 300))
    together = rate_interval(_counts([4.0] * 25 + [0.0] * 75, denominator=4.0))
    assert (together.high - together.low) / (apart.high - apart.low) == pytest.approx(2.0, rel=0.08)


def test_interval_of_a_ratio_of_unequal_denominators() -> None:
    # Delta method for a ratio R = sum(e) / sum(n): var = sum((e - R n)^2) / sum(n)^2.
    rng = np.random.default_rng(3)
    words = rng.integers(1, 30, size=500).astype(float)
    errors = rng.binomial(words.astype(int), 0.2).astype(float)
    counts = RateCounts(tuple(f"u{i:03}" for i in range(500)), errors, words, higher_is_better=False)
    sd = math.sqrt(float(((errors - counts.rate * words) ** 2).sum())) / float(words.sum())
    interval = rate_interval(counts)
    assert (interval.high - interval.low) / 2 == pytest.approx(Z_95 * sd, rel=0.05)


def test_no_error_seen_does_not_mean_no_error() -> None:
    # Clopper-Pearson for 0 of 240: 1 - 0.025 ** (1 / 240) = 1.525 %.
    interval = rate_interval(_counts([0.0] * 30, denominator=8.0))
    assert interval.low == 0.0
    assert interval.high == pytest.approx(0.01525, abs=1e-5)
    assert interval.resampled == "words"


def test_difference_has_the_sign_of_a_minus_b_and_is_paired() -> None:
    # b is right wherever a is, and on 20 of 200 utterances more: the paired sd is sqrt(0.1 * 0.9 / 200).
    a = _counts([1.0] * 60 + [0.0] * 140)
    b = _counts([1.0] * 40 + [0.0] * 160)
    found = difference(a, b)
    half = Z_95 * math.sqrt(0.1 * 0.9 / 200)
    assert found.mean == pytest.approx(0.1)
    assert found.low == pytest.approx(0.1 - half, abs=0.006)
    assert found.high == pytest.approx(0.1 + half, abs=0.006)
    assert found.p_value < 0.001
    turned = difference(b, a)
    assert turned.mean == pytest.approx(-0.1)
    assert turned.high < 0


def test_p_value_of_equal_and_of_balanced_systems() -> None:
    same = _counts([1.0, 0.0, 1.0, 0.0, 1.0, 0.0])
    assert difference(same, same).p_value == 1.0
    # 30 utterances won, 20 lost of 400: z = 10 / sqrt(50) = 1.41, two-sided p = 0.157; ties at 0 count
    # on both sides, which adds half of P(difference = 0) = 0.02 to each.
    a = _counts([1.0] * 30 + [0.0] * 20 + [0.0] * 350)
    b = _counts([0.0] * 30 + [1.0] * 20 + [0.0] * 350)
    assert difference(a, b).p_value == pytest.approx(0.17, abs=0.03)


def test_results_depend_on_the_seed_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = _counts(np.random.default_rng(1).random(100).tolist())
    once = rate_interval(counts, Bootstrap(seed=5))
    assert rate_interval(counts, Bootstrap(seed=6)) != once
    assert rate_interval(counts, Bootstrap(seed=5)) == once
    monkeypatch.setattr(significance, "_DRAWS_AT_ONCE", 1000)
    assert rate_interval(counts, Bootstrap(seed=5)) == once


def test_speakers_are_drawn_when_there_are_ten() -> None:
    # 10 speakers of 20 utterances; 3 speakers are always wrong: sd = sqrt(0.3 * 0.7 / 10).
    counts = _counts([1.0] * 60 + [0.0] * 140)
    speakers = {utt_id: f"s{index // 20}" for index, utt_id in enumerate(counts.utt_ids)}
    interval = rate_interval(counts, Bootstrap(speakers=speakers))
    assert interval.resampled == "speakers"
    assert (interval.low, interval.high) == (0.0, pytest.approx(0.6))
    nine = {utt_id: min(speaker, "s8") for utt_id, speaker in speakers.items()}
    assert resampled_unit(counts.utt_ids, Bootstrap(speakers=nine)) == "utterances"
    with pytest.raises(ScoringError, match="u00003: utterance has no speaker"):
        resampled_unit(
            counts.utt_ids, Bootstrap(speakers={k: v for k, v in speakers.items() if k != "u00003"})
        )


def test_gain_kept_of_the_paper() -> None:
    # Hinton et al. 2015: 58.9, 61.1 and 60.8 % of the frames; 1.9 / 2.2 = 86.4 %.
    baseline = _counts([589.0] * 500, denominator=1000.0, higher_is_better=True)
    ensemble = _counts([611.0] * 500, denominator=1000.0, higher_is_better=True)
    student = _counts([608.0] * 500, denominator=1000.0, higher_is_better=True)
    gain = gain_kept(baseline, ensemble, student)
    assert gain.value == pytest.approx(0.8636, abs=1e-4)
    assert gain.ensemble_gain.mean == pytest.approx(0.022)
    assert gain.student_gain.mean == pytest.approx(0.019)
    assert (gain.low, gain.high) == (pytest.approx(0.8636, abs=1e-4), pytest.approx(0.8636, abs=1e-4))


def test_gain_kept_of_errors_has_an_interval_around_it() -> None:
    # Of 1000 words the baseline misses 300, the ensemble 100 of those less, the student 50 less.
    baseline = _counts([1.0] * 300 + [0.0] * 700)
    ensemble = _counts([0.0] * 100 + [1.0] * 200 + [0.0] * 700)
    student = _counts([0.0] * 50 + [1.0] * 250 + [0.0] * 700)
    gain = gain_kept(baseline, ensemble, student)
    # A share of 50 in 100 words: sd = sqrt(0.25 / 100) = 0.05.
    assert gain.value == pytest.approx(0.5)
    assert gain.low == pytest.approx(0.5 - Z_95 * 0.05, abs=0.015)
    assert gain.high == pytest.approx(0.5 + Z_95 * 0.05, abs=0.015)
    assert gain.student_gain.low > 0


@pytest.mark.parametrize("num_won", [0, 12, 8])
def test_no_share_of_a_gain_that_is_not_there(num_won: int) -> None:
    # The ensemble wins num_won utterances and loses 10: no gain that could be told from none.
    baseline = _counts([1.0] * num_won + [0.0] * 10 + [0.0] * 178)
    ensemble = _counts([0.0] * num_won + [1.0] * 10 + [0.0] * 178)
    gain = gain_kept(baseline, ensemble, baseline)
    assert not gain.meaningful
    assert (gain.value, gain.low, gain.high) == (None, None, None)
    assert gain.ensemble_gain.mean == pytest.approx((num_won - 10) / (num_won + 188))


def test_a_gain_just_told_from_none_has_a_finite_interval() -> None:
    # 5 of 200 won and none lost: P(no gain in a resample) = (1 - 5/200)^200 = 0.6 %, ratio of 0 / 0 there.
    baseline = _counts([1.0] * 5 + [0.0] * 195)
    ensemble = _counts([0.0] * 200)
    student = _counts([0.0] * 2 + [1.0] * 3 + [0.0] * 195)
    gain = gain_kept(baseline, ensemble, student)
    assert gain.value == pytest.approx(0.4)
    assert (gain.low, gain.high) == (0.0, 1.0)


def test_resamples_without_a_gain_of_the_ensemble_bound_the_ratio_on_neither_side() -> None:
    student, ensemble = np.array([1.0, -1.0, 1.0, -1.0, 0.0]), np.array([2.0, 2.0, -1.0, -1.0, 0.0])
    ratios = significance._gain_ratios(student, ensemble)
    assert ratios.tolist() == [0.5, -0.5, math.inf, -math.inf, math.inf]


def test_counts_from_scores_and_their_mean_over_seeds() -> None:
    references = {"b": "x y", "a": "x y z"}
    first = error_counts(score(references, {"a": "x y z", "b": "x"}))
    second = error_counts(score(references, {"a": "x", "b": "y y"}))
    assert first.utt_ids == ("a", "b")
    assert first.numerator.tolist() == [0, 1]
    mean = mean_counts([first, second])
    assert mean.numerator.tolist() == [1, 1]
    assert mean.rate == pytest.approx((1 / 5 + 3 / 5) / 2)
    frames = correct_frame_counts({"b": FrameCounts(1, 2), "a": FrameCounts(3, 8), "none": FrameCounts(0, 0)})
    assert (frames.utt_ids, frames.rate) == (("a", "b"), pytest.approx(0.4))
    with pytest.raises(ScoringError, match="no frames"):
        correct_frame_counts({"u": FrameCounts(0, 0)})


def test_sd_over_seeds() -> None:
    assert sd_over_seeds([0.1, 0.2, 0.3]) == pytest.approx(0.1)
    assert sd_over_seeds([0.1]) is None


def test_systems_on_other_utterances_are_refused() -> None:
    with pytest.raises(ScoringError, match=r"different utterances.*u00002"):
        difference(_counts([1.0, 0.0, 1.0]), _counts([1.0, 0.0]))
    with pytest.raises(ScoringError, match=r"u00000: .*different references"):
        difference(_counts([1.0]), _counts([1.0], denominator=2.0))
    with pytest.raises(ScoringError, match="at least one seed"):
        mean_counts([])
