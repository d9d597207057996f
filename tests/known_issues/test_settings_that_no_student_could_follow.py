"""Settings that no student could follow were refused once all teachers had labelled, or never."""

from __future__ import annotations

from pathlib import Path

import pytest

from asr_kd.config import load_recipe
from asr_kd.errors import ConfigError, ShardError
from tests.support import tone_corpus
from tests.support.tones import FEW_TONES, tones_pipeline, tones_recipe

TWICE_UNTRANSCRIBED = ("student.passes={transfer: 2}", "control.count=0")
IN_A_BUDGET = ("teachers.count=1", "ensemble.budget={max_bytes_per_frame: 20}")


def test_a_loss_of_nothing(tmp_path: Path) -> None:
    folder = tones_recipe(tmp_path)
    with pytest.raises(ConfigError, match=r'"student": soft_weight and hard_weight are both 0'):
        load_recipe(folder, overrides=["student.soft_weight=0", "student.hard_weight=0"])
    assert load_recipe(folder, overrides=["student.soft_weight=0"]).student.hard_weight


def test_passes_over_audio_that_is_not_there(tmp_path: Path) -> None:
    run = tones_pipeline(tmp_path, tmp_path / "work", *FEW_TONES, *TWICE_UNTRANSCRIBED)
    run.run(dry_run=True)
    for _ in range(2):  # also where the corpus was prepared before
        with pytest.raises(ConfigError, match=r"^student\.passes: .*expected some of train at least once"):
            run.run(to_stage="features")
    assert run.work.splits()
    assert not (run.work.root / "features").exists()


def test_passes_over_audio_of_which_the_settings_say_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user's own corpus may bring audio without text; its settings need not say so."""
    monkeypatch.setitem(tone_corpus.SPEAKERS, "transfer", ("s8",))
    monkeypatch.setitem(tone_corpus.PITCH, "s8", 1.0)
    run = tones_pipeline(tmp_path, tmp_path / "work", *FEW_TONES, *TWICE_UNTRANSCRIBED)
    run.run(to_stage="features")
    assert list((run.work.root / "features").glob("*/transfer"))


def test_another_temperature_than_that_of_a_planned_code(tmp_path: Path) -> None:
    with pytest.raises(ShardError, match=r"^student\.temperature: .*ensemble\.budget.*powers: \[0\.666667\]"):
        tones_pipeline(tmp_path, tmp_path / "work", *IN_A_BUDGET, "student.temperature=3")
    named = ("teachers.count=1", "ensemble.code={name: threshold, powers: [0.666667]}")
    for settings in ((*IN_A_BUDGET, "student.temperature=2"), (*named, "student.temperature=3")):
        assert tones_pipeline(tmp_path, tmp_path / "work", *settings).stages
