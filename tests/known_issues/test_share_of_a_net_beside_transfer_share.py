"""The first teacher's share was drawn as ``corpus.transfer_share`` was: too little or nothing was left."""

from __future__ import annotations

import pytest

from asr_kd.data.manifest import Utterance, is_drawn
from asr_kd.stages.nets import NetConfig
from asr_kd.stages.prepare import without_transcripts


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_is_of_what_is_left(seed: int) -> None:
    rows = [Utterance(f"u{number}", "s", "a.wav", 1, 8000, "a") for number in range(4000)]
    train = without_transcripts({"train": rows}, 0.5)["train"]
    net = NetConfig(seed=seed, data_share=0.5)
    drawn = sum(is_drawn(row.utt_id, net.data_share, net.draw) for row in train)
    assert drawn / len(train) == pytest.approx(0.5, abs=0.05)
