"""Nets that learn whole sentences did so wherever there was a GPU, whatever device the recipe trains on."""

from __future__ import annotations

from pathlib import Path

import pytest

from asr_kd.am.checkpoint import read_card
from asr_kd.errors import ConfigError
from tests.support.sentences import sentences_stage

SEQUENCE = "sequence={systems: [student], num_processes: 1, train: {epochs: 1}}"


@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_is_that_of_the_recipe(tmp_path: Path, device: str) -> None:
    stage, work = sentences_stage(tmp_path, SEQUENCE, f"train.device={device}")
    stage.run(work)
    settings = read_card(work.models / "student-smbr-01").provenance["settings"]
    assert settings["train"]["device"] == device
    assert settings["train"]["epochs"] == 1


def test_may_be_another_than_that_of_the_recipe(tmp_path: Path) -> None:
    stage, work = sentences_stage(tmp_path, SEQUENCE, "train.device=cuda:99", "sequence.train.device=cpu")
    stage.run(work)
    settings = read_card(work.models / "student-smbr-01").provenance["settings"]
    assert settings["train"]["device"] == "cpu"


def test_that_is_not_there_is_refused(tmp_path: Path) -> None:
    stage, work = sentences_stage(tmp_path, SEQUENCE, "train.device=cuda:99")
    with pytest.raises(ConfigError, match="cuda:99"):
        stage.run(work)
