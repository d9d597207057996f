"""A sweep repeated up to the students took the word error rates of before out of ``sweep.json``."""

from __future__ import annotations

from asr_kd.report.sweeps import SweptPoint, gathered


def _point(student: float, wer: float | None) -> SweptPoint:
    return SweptPoint(
        settings={"a.b": 1},
        frame_accuracy={"student": (student,), "ensemble": (0.6,)},
        wer={} if wer is None else {"student": (wer,)},
    )


def test_keep_the_rates_of_the_same_students() -> None:
    assert gathered([_point(0.5, 0.3)], [_point(0.5, None)]) == [_point(0.5, 0.3)]
    assert gathered([_point(0.5, 0.3)], [_point(0.5, 0.2)]) == [_point(0.5, 0.2)]
    assert gathered([_point(0.5, 0.3)], [_point(0.4, None)]) == [_point(0.4, None)]
