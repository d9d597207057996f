"""A recording shorter than half a frame stopped the ensemble stage when all teachers had been trained: shards
take no utterance without frames, nor one that is without them once it is sped up.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from asr_kd.am.checkpoint import save_model
from asr_kd.am.registry import ArchitectureConfig
from asr_kd.atomic import write_json
from asr_kd.data.audio import write_audio
from asr_kd.data.augment import AugmentConfig
from asr_kd.data.manifest import Utterance, write_manifest
from asr_kd.distill.plan import Budget
from asr_kd.distill.shard_set import open_shard_set
from asr_kd.extraction import FeatureConfig, ViewConfig, extract_split, num_view_frames
from asr_kd.lang.hmm import HmmTopology, monophone_hmm
from asr_kd.lang.lexicon import Lexicon
from asr_kd.lang.phones import PhoneSet
from asr_kd.stages.base import WorkDir
from asr_kd.stages.ensemble import EnsembleConfig, EnsembleStage
from asr_kd.stages.labels import FACTS_FILE, HMM_FILE
from asr_kd.stages.nets import NetConfig, WindowConfig, new_card

RATE = 8000
LENGTHS = {"none": 39, "original-alone": 42, "whole": 400, "longer": 900}
"""In samples, by the name of the utterance; half a frame has 40."""

NET = NetConfig(
    model=ArchitectureConfig(name="dnn", options={"hidden_layers": 1, "units": 4}),
    window=WindowConfig(left=1, right=1),
    features=FeatureConfig(options={"sampling_rate": RATE}),
)
VIEWS = ViewConfig(count=1, augment=AugmentConfig(speeds=(1.1,)))


def _utterances(work: WorkDir, split: str) -> list[Utterance]:
    rows = []
    for name, length in LENGTHS.items():
        audio = work.corpus / f"{split}-{name}.flac"
        write_audio(audio, 0.1 * np.random.default_rng(length).standard_normal(length), RATE)
        rows.append(Utterance(f"{split}-{name}", "s1", audio.name, length, RATE))
    return rows


@pytest.fixture
def work(tmp_path: Path) -> WorkDir:
    """A work folder with all that the ensemble stage needs, of a teacher that was never trained."""
    work = WorkDir(tmp_path)
    work.corpus.mkdir()
    frontend = NET.features.load(None)
    for split in ("train", "transfer", "dev"):
        write_manifest(work.manifest(split), _utterances(work, split))
        rows = work.utterances(split)
        extract_split(rows, frontend, NET.features, work.features(NET.features.key, split))
    hmm = monophone_hmm(PhoneSet.from_lexicon(Lexicon({"a": [("A",)]})), HmmTopology(1, 1))
    hmm.save(work.align / HMM_FILE)
    write_json(work.align / FACTS_FILE, {"pdf_counts": [1] * hmm.num_pdfs, "fingerprint": "none"})
    card = new_card(work, NET, None)
    save_model(work.models / "teacher-01", card.build_net(), card)
    return work


def _run(work: WorkDir, config: EnsembleConfig) -> None:
    EnsembleStage(config, 1, NET, VIEWS, None).run(work)


def _stored(work: WorkDir, split: str) -> set[tuple[str, str]]:
    shard_set = open_shard_set(work.shards)
    read = (each for shard in shard_set.shards([split]) for each in shard_set.read(shard))
    return {(each.utt_id.removeprefix(f"{split}-"), each.view) for each in read}


def test_are_left_out_and_counted(work: WorkDir, capsys: pytest.CaptureFixture[str]) -> None:
    _run(work, EnsembleConfig(num_processes=1))
    originals = {(name, "") for name in ("original-alone", "whole", "longer")}
    viewed = originals | {("whole", "view1"), ("longer", "view1")}
    assert _stored(work, "train") == _stored(work, "transfer") == viewed
    assert _stored(work, "dev") == originals
    lines = [line for line in capsys.readouterr().err.splitlines() if "left out" in line]
    assert lines == [
        "ensemble train: left out 3 of 8 views of utterances that have no frame",
        "ensemble transfer: left out 3 of 8 views of utterances that have no frame",
        "ensemble dev: left out 1 of 4 utterances that have no frame",
    ]


def test_a_stage_that_was_broken_off_goes_on_to_the_same_bytes(work: WorkDir) -> None:
    config = EnsembleConfig(num_processes=1, shard_frames=2)
    _run(work, config)
    whole = {path.name: path.read_bytes() for path in work.shards.iterdir()}
    for name in ("header.json", "train-000001.json", "train-000002.json", "transfer-000000.json"):
        (work.shards / name).unlink()
    _run(work, config)
    assert {path.name: path.read_bytes() for path in work.shards.iterdir()} == whole


def test_are_no_part_of_the_sample_that_a_code_is_planned_with(work: WorkDir) -> None:
    _run(work, EnsembleConfig(num_processes=1, budget=Budget(max_bytes_per_frame=1000)))
    assert ("whole", "") in _stored(work, "train")


@pytest.mark.parametrize("view", [0, 1])
def test_are_told_without_their_audio(work: WorkDir, view: int) -> None:
    frontend = NET.features.load(None)
    for row in work.utterances("train"):
        extracted = extract_split([row], frontend, NET.features, work.root / "one", view, VIEWS.augment)
        assert num_view_frames(row, view, VIEWS.augment, frontend.spec.frame_shift) == extracted
