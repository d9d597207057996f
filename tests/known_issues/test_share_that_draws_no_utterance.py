"""A share of the data that draws no utterance was reported as utterances that could not be aligned."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from asr_kd.data.folds import Folds
from asr_kd.data.frame_store import FrameStoreWriter
from asr_kd.data.manifest import Utterance, write_manifest
from asr_kd.errors import ConfigError, StageError
from asr_kd.stages.base import WorkDir
from asr_kd.stages.nets import LeftOut, NetConfig, aligned_utterances
from tests.support.tones import FEW_TONES, tones_pipeline

UTT_IDS = [f"s1-{number:02}" for number in range(20)]
FOLDS = Folds(count=2, by="utterance")
UTTERANCES = [Utterance(utt_id, "s1", f"{utt_id}.flac", 8000, 8000, "alba") for utt_id in UTT_IDS]


def work_folder(folder: Path, aligned: Sequence[str]) -> WorkDir:
    """Return one with features of all utterances and an alignment of some."""
    work = WorkDir(folder / "work")
    work.corpus.mkdir(parents=True)
    write_manifest(work.manifest("train"), UTTERANCES)
    features = work.features(NetConfig().features.key, "train")
    for place, utt_ids in ((features, UTT_IDS), (work.align / "train", aligned)):
        place.mkdir(parents=True)
        with FrameStoreWriter(place, np.int32, ()) as writer:
            for utt_id in utt_ids:
                writer.add(utt_id, np.zeros(3, dtype=np.int32))
    return work


def learnt(work: WorkDir, **settings: object) -> list[str]:
    net = NetConfig.model_validate(settings)
    return aligned_utterances(work, net, "train", net.data_share)


def test_it_is_said_which_of_aligned_and_drawn_is_none(tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"no utterance of train is aligned; .*failed\.txt"):
        learnt(work_folder(tmp_path / "unaligned", []), data_share=1e-9)
    work = work_folder(tmp_path / "aligned", UTT_IDS[:12])
    with pytest.raises(StageError, match=r"^data_share: no utterance of train is drawn, of 12 .*got 1e-09"):
        learnt(work, data_share=1e-9)
    assert learnt(work) == UTT_IDS[:12]


def test_a_fold_with_all_that_is_aligned(tmp_path: Path) -> None:
    of_first = [utt_id for utt_id, fold in FOLDS.of_each(UTTERANCES).items() if not fold]
    work = work_folder(tmp_path, of_first)
    with pytest.raises(StageError, match=r"^teachers\.folds: all 10 aligned utterances"):
        learnt(work, left_out=LeftOut(fold=0, folds=FOLDS))
    assert learnt(work, left_out=LeftOut(fold=1, folds=FOLDS)) == of_first


def test_a_student_of_no_utterance_is_refused_before_its_teachers(tmp_path: Path) -> None:
    run = tones_pipeline(tmp_path, tmp_path / "work", *FEW_TONES, "ensemble.data_share=1e-9")
    with pytest.raises(ConfigError, match=r"^ensemble\.data_share: no utterance of train is drawn, of 16"):
        run.run(to_stage="features")
    assert not (run.work.root / "features").exists()
