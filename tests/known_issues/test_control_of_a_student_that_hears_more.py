"""The control had not the updates of a student with audio without text, or with labels of a part of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from asr_kd.config import load_recipe
from tests.support.tones import tones_recipe


@pytest.mark.parametrize(
    ("overrides", "epochs"),
    [
        ([], 4),
        # A quarter keeps its text, so that an epoch of the student is four of the control's.
        (["corpus.transfer_share=0.75"], 16),
        (["corpus.transfer_share=0.75", "student.passes={transfer: 0}"], 4),
        (["corpus.transfer_share=0.75", "student.passes={train: 3}"], 24),
        # Half of the control's frames are a view.
        (["corpus.transfer_share=0.5", "views.count=2", "views.hard=1"], 12),
        (["corpus.transfer_share=0.75", "control.epochs=7"], 7),
        # The student has labels of half of the utterances with text, the control those of a quarter.
        (["ensemble.data_share=0.5"], 2),
        (["ensemble.data_share=0.5", "baseline.data_share=0.25"], 8),
        (["corpus.transfer_share=0.5", "ensemble.data_share=0.5"], 6),
    ],
)
def test_its_updates_are_the_students(tmp_path: Path, overrides: list[str], epochs: int) -> None:
    recipe = load_recipe(
        tones_recipe(tmp_path),
        overrides=["views.count=0", "student.train.epochs=4", "control.count=1", *overrides],
    )
    (net,) = recipe.control_nets()
    assert net.train.epochs == epochs
