"""The number of frames, against values worked out by hand."""

from __future__ import annotations

from fractions import Fraction

import pytest

from asr_kd.units import num_frames, samples_per_shift


@pytest.mark.parametrize(
    ("num_samples", "expected"),
    # 160 samples a shift: the count goes up at 80, 240, 400 ...
    [
        (0, 0),
        (1, 0),
        (79, 0),
        (80, 1),
        (239, 1),
        (240, 2),
        (15_919, 99),
        (15_920, 100),
        (16_079, 100),
        (16_080, 101),
    ],
)
def test_16_khz(num_samples: int, expected: int) -> None:
    assert num_frames(num_samples, 16000, 0.01) == expected


@pytest.mark.parametrize(
    ("num_samples", "expected"),
    # 220.5 samples a shift: the edges are at 110.25, 330.75, 551.25 ...
    [
        (110, 0),
        (111, 1),
        (330, 1),
        (331, 2),
        (441, 2),
        (551, 2),
        (552, 3),
        (22_050, 100),
        (79_380_000, 360_000),
    ],
)
def test_22_05_khz_where_the_shift_is_no_whole_number(num_samples: int, expected: int) -> None:
    assert num_frames(num_samples, 22050, 0.01) == expected


@pytest.mark.parametrize(
    ("num_samples", "rate", "shift", "expected"),
    [
        (39, 8000, 0.01, 0),  # 80 a shift
        (40, 8000, 0.01, 1),
        (55, 11025, 0.01, 0),  # 110.25 a shift: edges at 55.125, 165.375
        (56, 11025, 0.01, 1),
        (165, 11025, 0.01, 1),
        (166, 11025, 0.01, 2),
        (299, 16000, 0.0125, 1),  # 200 a shift
        (300, 16000, 0.0125, 2),
        (220, 44100, 0.01, 0),  # 441 a shift: edge at 220.5
        (221, 44100, 0.01, 1),
    ],
)
def test_other_rates_and_shifts(num_samples: int, rate: int, shift: float, expected: int) -> None:
    assert num_frames(num_samples, rate, shift) == expected


def test_one_second_has_the_same_number_at_every_rate() -> None:
    assert {num_frames(rate, rate, 0.01) for rate in (8000, 11025, 16000, 22050, 32000, 44100, 48000)} == {
        100
    }


@pytest.mark.parametrize("shift_samples", [160, 221])
def test_whole_shifts_agree_with_the_integer_formula_of_kaldi(shift_samples: int) -> None:
    rate = 100 * shift_samples
    for num_samples in range(5 * shift_samples):
        kaldi = (num_samples + shift_samples // 2) // shift_samples
        assert num_frames(num_samples, rate, 0.01) == kaldi


def test_shift_in_samples_is_exact() -> None:
    assert samples_per_shift(22050, 0.01) == Fraction(441, 2)
    assert samples_per_shift(22050, 256 / 22050) == 256


@pytest.mark.parametrize(
    "arguments", [(-1, 16000, 0.01), (10, 0, 0.01), (10, 16000, 0.0), (10, 16000, -0.01)]
)
def test_impossible_arguments_are_refused(arguments: tuple[int, int, float]) -> None:
    with pytest.raises(ValueError, match="num_frames needs"):
        num_frames(*arguments)
