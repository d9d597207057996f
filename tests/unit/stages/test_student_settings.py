"""What a student's settings make of an epoch, and of what identifies a student."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from asr_kd.errors import ConfigError
from asr_kd.stages.student_loss import StudentConfig


def test_an_epoch_goes_over_each_split_as_often_as_is_said():
    splits = ["train", "transfer"]
    assert StudentConfig().epoch_splits(splits) == splits
    assert StudentConfig(passes={"train": 3}).epoch_splits(splits) == ["train"] * 3 + ["transfer"]
    assert StudentConfig(passes={"transfer": 0}).epoch_splits(splits) == ["train"]


@pytest.mark.parametrize("passes", [{"transfer": 2}, {"train": 0}])
def test_passes_over_what_is_not_there_or_over_nothing_are_refused(passes):
    with pytest.raises(ConfigError, match=r"student\.passes.*train"):
        StudentConfig(passes=passes).epoch_splits(["train"])


def test_passes_over_dev_are_no_setting():
    with pytest.raises(ValidationError):
        StudentConfig(passes={"dev": 1})


def test_settings_that_are_left_alone_do_not_change_what_identifies_a_student():
    assert StudentConfig().loss_settings() == {
        "loss": "soft_cross_entropy",
        "temperature": None,
        "soft_weight": 1.0,
        "hard_weight": 0.5,
    }
    changed = StudentConfig(wrong_frames="drop", passes={"train": 2}, teachers=2).loss_settings()
    assert changed.items() >= {"wrong_frames": "drop", "passes": {"train": 2}, "teachers": 2}.items()
