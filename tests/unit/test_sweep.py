from __future__ import annotations

import pytest

from asr_kd.config import parse_override
from asr_kd.errors import ConfigError
from asr_kd.report.sweeps import SweptPoint
from asr_kd.sweep import GridPoint, best_point, parse_grid


def test_grid_is_every_combination_with_the_last_axis_fastest() -> None:
    points = parse_grid(["student.temperature=1,2", "student.hard_weight=0,0.5"])
    assert [tuple(point.values.values()) for point in points] == [(1, 0), (1, 0.5), (2, 0), (2, 0.5)]
    assert points[1].overrides == ["student.temperature=1", "student.hard_weight=0.5"]
    assert len({point.folder_name() for point in points}) == 4


@pytest.mark.parametrize("value", [2, 0.5, "geometric", [0.9, 1.0], {"name": "topk", "k": 8}, None, True])
def test_override_gives_back_the_value(value: object) -> None:
    (override,) = GridPoint({"a.b": value}).overrides
    assert parse_override(override) == {"a": {"b": value}}


def test_values_may_be_lists_and_mappings() -> None:
    points = parse_grid(
        ["views.augment.speeds=[1.0],[0.9, 1.1]", "ensemble.code={name: dense},{name: topk, k: 8}"]
    )
    assert points[-1].values == {
        "views.augment.speeds": [0.9, 1.1],
        "ensemble.code": {"name": "topk", "k": 8},
    }
    for point in points:
        assert "/" not in point.folder_name()
        assert " " not in point.folder_name()


def test_long_names_stay_apart() -> None:
    first, second = parse_grid([f"a.b={list(range(60))},{list(range(1, 61))}"])
    assert first.folder_name() != second.folder_name()
    assert max(len(first.folder_name()), len(second.folder_name())) <= 80


def test_sweeps_with_other_settings_have_folders_of_their_own() -> None:
    (point,) = parse_grid(["student.hard_weight=0.5"])
    names = {point.folder_name(fixed) for fixed in ((), ("train.epochs=1",), ("train.epochs=2",))}
    assert len(names) == 3
    assert "student.hard_weight=0.5" in names


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        (["student.temperature"], "malformed axis"),
        (["student.temperature="], "malformed axis"),
        (["=1,2"], "malformed axis"),
        (["a=1", "a=2"], "an axis given twice"),
        (["a=[1"], "malformed values"),
        ([], "a sweep without a grid"),
    ],
)
def test_malformed_grids_are_refused(axes: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_grid(axes)


def test_best_point_has_the_lowest_wer_or_most_right_frames() -> None:
    rows = [
        SweptPoint(settings={"a": 1}, frame_accuracy={"student": [0.50, 0.54]}, wer={"student": [0.20]}),
        SweptPoint(settings={"a": 2}, frame_accuracy={"student": [0.51, 0.51]}, wer={"student": [0.10]}),
    ]
    assert best_point(rows) is rows[1]
    without_wer = [row.model_copy(update={"wer": {}}) for row in rows]
    assert best_point(without_wer) is without_wer[0]


def test_best_point_may_be_that_of_a_student_that_learnt_sentences() -> None:
    rows = [
        SweptPoint(settings={"a": 1}, frame_accuracy={}, wer={"student": [0.20], "student-smbr": [0.19]}),
        SweptPoint(
            settings={"a": 2},
            frame_accuracy={},
            wer={"student": [0.20], "student-mmi": [0.17], "baseline-mmi": [0.3]},
        ),
        SweptPoint(settings={"a": 3}, frame_accuracy={}, wer={"student": [0.20], "baseline-smbr": [0.10]}),
    ]
    assert best_point(rows) is rows[1]
