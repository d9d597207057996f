"""Nets that an earlier version of a user's frontend had taught were taken for those of the present one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from asr_kd.config import load_recipe
from asr_kd.data.frame_store import INDEX_FILE
from asr_kd.stages.nets import trained_hard_before
from tests.support.tones import tones_pipeline

MY_FRONTEND = Path(__file__).parents[2] / "recipes" / "custom_frontend" / "my_frontend.py"


def test_are_trained_again(tmp_path: Path) -> None:
    shutil.copy(MY_FRONTEND, tmp_path)
    own = "frontend={name: my_frontend:GammatoneEnergy, options: {sampling_rate: 8000}}"
    settings = (own, "corpus.options.utterances=3", "teachers.count=1", "train.epochs=1")
    pipeline = tones_pipeline(tmp_path, tmp_path / "work", *settings)
    pipeline.run(to_stage="teachers")
    (net,) = load_recipe(tmp_path, overrides=settings).teacher_nets()
    assert trained_hard_before(pipeline.work, net, "teacher-01") is not None
    path = pipeline.work.features(net.features.key, "train") / INDEX_FILE
    index = json.loads(path.read_text())
    index["meta"]["frontend"]["fingerprint"] = "of its next version"
    path.write_text(json.dumps(index))
    assert trained_hard_before(pipeline.work, net, "teacher-01") is None
