"""A number of parameters just below a million was shown as ``1e+03 k``."""

from __future__ import annotations

import pytest

from asr_kd.report.cells import parameters


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (999, "999"),
        (1_000, "1 k"),
        (999_400, "999 k"),
        (999_700, "1 M"),
        (1_000_000, "1 M"),
        (999_400_000, "999 M"),
        (999_700_000, "1 G"),
    ],
)
def test_are_shown_in_the_unit_that_they_are_rounded_to(count: int, shown: str) -> None:
    assert parameters(count) == shown
