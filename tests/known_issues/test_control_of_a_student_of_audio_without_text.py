"""A student of a corpus's audio without text alone was a traceback about its control's epochs."""

from __future__ import annotations

from pathlib import Path

import pytest

from asr_kd.config import load_recipe
from asr_kd.errors import ConfigError
from tests.support.tones import tones_pipeline, tones_recipe

UNTRANSCRIBED = "student.passes={train: 0}"


@pytest.mark.parametrize("more", [[], ["student.start=teacher"]])
def test_its_control_needs_a_length(tmp_path: Path, more: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"^student\.passes: .*control\.epochs.*control\.count=0"):
        tones_pipeline(tmp_path, tmp_path / "work", UNTRANSCRIBED, "control.count=1", *more)


def test_without_normalisation_too(tmp_path: Path) -> None:
    """There the control's training is looked at as soon as the recipe is read."""
    with pytest.raises(ConfigError, match=r"student\.passes: .*control\.epochs"):
        load_recipe(tones_recipe(tmp_path), overrides=[UNTRANSCRIBED, "control.count=1", "cmvn=none"])


@pytest.mark.parametrize(
    "way_out",
    [
        "control.count=0",
        "control={count: 1, epochs: 3}",
        "corpus.transfer_share=0.5",  # of which it is known how much there is
    ],
)
def test_the_ways_out(tmp_path: Path, way_out: str) -> None:
    assert tones_pipeline(tmp_path, tmp_path / "work", UNTRANSCRIBED, way_out).stages
