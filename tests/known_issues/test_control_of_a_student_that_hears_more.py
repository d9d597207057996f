"""The control of a student that also learnt audio without text had the updates of that with text alone."""

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
    ],
)
def test_its_updates_are_the_students(tmp_path: Path, overrides: list[str], epochs: int) -> None:
    recipe = load_recipe(
        tones_recipe(tmp_path),
        overrides=["views.count=0", "student.train.epochs=4", "control.count=1", *overrides],
    )
    (net,) = recipe.control_nets()
    assert net.train.epochs == epochs
