"""Masks set values to 0, which is far from the mean of features that nothing had normalised."""

from __future__ import annotations

from pathlib import Path

import pytest

from asr_kd.config import load_recipe
from asr_kd.errors import ConfigError
from tests.support.tones import tones_recipe


@pytest.mark.parametrize(
    ("setting", "nets"),
    [
        ("train.masks={}", "teachers, baseline, control, student"),
        ("student.train.masks={max_time_width: 3}", "student"),
        ("baseline.train.masks={}", "baseline, control"),
        ("teachers.variants=[{}, {frontend: {name: mfcc}, train: {masks: {}}}]", "teachers"),
        ("sequence.train.masks={}", "sequence"),
    ],
)
def test_are_refused_before_anything_runs(tmp_path: Path, setting: str, nets: str) -> None:
    folder = tones_recipe(tmp_path)
    message = rf"train\.masks of {nets} .* cmvn is none: .*set cmvn to speaker or utterance"
    with pytest.raises(ConfigError, match=message):
        load_recipe(folder, overrides=["cmvn=none", setting])
    assert load_recipe(folder, overrides=["cmvn=utterance", setting]).cmvn == "utterance"


def test_nets_without_masks_need_no_normalisation(tmp_path: Path) -> None:
    overrides = ["cmvn=none", "train.masks={}", "train.masks=null", "sequence={}"]
    assert load_recipe(tones_recipe(tmp_path), overrides=overrides).cmvn == "none"
