"""What keeps its text was normalised over itself alone: two utterances a speaker, where dev has many.

Nets then learnt from features unlike those of dev, test and the audio without text.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from asr_kd.distill.shard_set import open_shard_set
from asr_kd.pipeline import Pipeline
from asr_kd.stages.base import WorkDir
from tests.support.tones import FEW_TONES, tones_pipeline

# Views that change nothing, so that they must be what the original is.
_SAME = "{speeds: [1.0], noise_probability: 0.0, reverb_probability: 0.0, gain_db: [0.0, 0.0]}"
_SMALL = (*FEW_TONES, "teachers.count=1", "baseline.count=1", "control.count=0")
_HALF = "corpus.transfer_share=0.5"
_VIEWS = ("views.count=2", "views.hard=1", f"views.augment={_SAME}")


def _run(folder: Path, *settings: str) -> Pipeline:
    return tones_pipeline(folder, folder / "work", *_SMALL, _HALF, *settings)


def _frames_of_speakers(work: WorkDir, key: str, *splits: str) -> dict[str, np.ndarray]:
    of: dict[str, list[np.ndarray]] = {}
    for split in splits:
        store = work.feature_store(key, split)
        for row in work.utterances(split):
            of.setdefault(row.speaker, []).append(np.array(store.get(row.utt_id)))
    return {speaker: np.concatenate(frames) for speaker, frames in of.items()}


def test_its_speakers_are_normalised_over_all_that_they_say(tmp_path: Path) -> None:
    run = _run(tmp_path)
    run.run(to_stage="features")
    for folder in (run.work.root / "features").iterdir():
        together = _frames_of_speakers(run.work, folder.name, "train", "transfer")
        alone = _frames_of_speakers(run.work, folder.name, "train")
        shared = [speaker for speaker in alone if len(alone[speaker]) < len(together[speaker])]
        assert shared
        for frames in together.values():
            assert frames.mean(axis=0) == pytest.approx(0, abs=1e-4)
            assert frames.std(axis=0) == pytest.approx(1, abs=1e-3)
        assert any(abs(alone[speaker].mean(axis=0)).max() > 0.01 for speaker in shared)


def test_views_have_the_same_statistics(tmp_path: Path) -> None:
    run = _run(tmp_path, *_VIEWS)
    run.run(to_stage="ensemble")
    shards = open_shard_set(run.work.shards)
    stored = {
        (row.view, row.utt_id): np.array(row.features, dtype=np.float32)
        for shard in shards.shards(["train", "transfer"])
        for row in shards.read(shard)
    }
    assert {view for view, _ in stored} == {"", "view1", "view2"}
    for (_, utt_id), features in stored.items():
        assert np.array_equal(features, stored["", utt_id])


def test_work_folders_without_such_audio_stay_as_they_are(tmp_path: Path) -> None:
    run = tones_pipeline(tmp_path, tmp_path / "work", *_SMALL)
    assert "normalised_together" not in run.stages[1].settings()
    assert "normalised_together" in _run(tmp_path / "half").stages[1].settings()
