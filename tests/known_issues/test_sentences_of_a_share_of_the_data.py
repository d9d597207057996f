"""Nets of a share of the data went on to learn the transcripts of all utterances as whole sentences."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from asr_kd.am.checkpoint import read_card
from tests.support.sentences import sentences_stage


@pytest.mark.parametrize("system", ["baseline", "student"])
def test_are_those_that_the_net_learnt_before(tmp_path: Path, system: str) -> None:
    stage, work = sentences_stage(
        tmp_path,
        "baseline.data_share=0.3",
        "ensemble.data_share=0.3",
        f"sequence={{systems: [{system}], count: 1, num_processes: 1, train: {{epochs: 1}}}}",
    )
    stage.run(work)
    (epoch,) = read_card(work.models / f"{system}-smbr-01").provenance["epochs"]
    assert math.isfinite(epoch["means"]["loss"])
