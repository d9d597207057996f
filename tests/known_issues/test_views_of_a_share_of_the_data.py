"""Views of a share of the data were normalised over the share, not over all that their speakers said."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from asr_kd.distill.shard_set import open_shard_set
from tests.support.tones import FEW_TONES, tones_pipeline

# Views that change nothing, so that they must be what the original is.
_SAME = "{speeds: [1.0], noise_probability: 0.0, reverb_probability: 0.0, gain_db: [0.0, 0.0]}"
_SMALL = (
    *FEW_TONES,
    "teachers.count=1",
    "baseline.count=1",
    "control.count=0",
)
_SHARE = ("ensemble.data_share=0.5", "views.count=1", f"views.augment={_SAME}")


def test_they_have_the_statistics_of_all(tmp_path: Path) -> None:
    run = tones_pipeline(tmp_path, tmp_path / "work", *_SMALL, *_SHARE)
    run.run(to_stage="ensemble")
    shards = open_shard_set(run.work.shards)
    stored = {
        (row.view, row.utt_id): np.array(row.features, dtype=np.float32)
        for shard in shards.shards(["train"])
        for row in shards.read(shard)
    }
    drawn = {utt_id for view, utt_id in stored if not view}
    assert 0 < len(drawn) < len(run.work.utterances("train"))
    assert {utt_id for view, utt_id in stored if view} == drawn
    for utt_id in drawn:
        assert np.array_equal(stored["view1", utt_id], stored["", utt_id])
