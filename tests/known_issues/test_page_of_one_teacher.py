"""The page of an ensemble of one teacher drew how two nets differ: a plot of nothing, with two warnings."""

from __future__ import annotations

import warnings

import pytest

from asr_kd.report.page import report_page
from asr_kd.report.results import Provenance, Results, TeacherAgreement

PROVENANCE = Provenance(recipe="r", profile="default", command="asr-kd run r", machine="a test")


@pytest.mark.parametrize(
    ("same", "by_right", "drawn"),
    [(((1.0,),), (0.3, 0.7), False), (((1.0, 0.8), (0.8, 1.0)), (0.2, 0.2, 0.6), True)],
)
def test_shows_agreement_where_there_are_two(
    same: tuple[tuple[float, ...], ...], by_right: tuple[float, ...], drawn: bool
) -> None:
    nets = tuple(f"teacher-{number:02}" for number in range(1, len(same) + 1))
    agreement = TeacherAgreement(split="test", nets=nets, same=same, by_right=by_right)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        page = report_page(Results(provenance=PROVENANCE, rows=(), agreement=(agreement,)))
    assert ("Teachers, test" in page) == drawn
