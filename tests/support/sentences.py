"""A work folder of random frames in which nets go on to learn from whole sentences at once."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr_kd.am.checkpoint import save_model
from asr_kd.atomic import write_json
from asr_kd.config import load_recipe
from asr_kd.data.frame_store import FrameStoreWriter
from asr_kd.data.manifest import is_drawn
from asr_kd.experiment import build_stages
from asr_kd.lang.hmm import HmmTopology, monophone_hmm
from asr_kd.lang.lexicon import Lexicon
from asr_kd.lang.phones import PhoneSet
from asr_kd.report.results import Provenance
from asr_kd.stages.base import WorkDir
from asr_kd.stages.ensemble import DATA_SHARE_SEED
from asr_kd.stages.labels import FACTS_FILE, HMM_FILE
from asr_kd.stages.lattices import LATTICE_SPLIT
from asr_kd.stages.nets import NetConfig, new_card
from asr_kd.stages.recipe import Recipe
from asr_kd.stages.sequence import SequenceStage
from asr_kd.stages.teachers import baselines_file
from tests.support.tones import tones_recipe

_UTTERANCES = [f"u{number}" for number in range(20)]
_FRAMES = 12
_PROVENANCE = Provenance(recipe="tones", profile="default", command="asr-kd run", machine="test")

Array = NDArray[Any]


def sentences_stage(folder: Path, *overrides: str) -> tuple[SequenceStage, WorkDir]:
    """Return the stage of the tones' recipe and a work folder with what it reads, of untrained nets.

    Features of the training utterances that ``baseline.data_share`` does not draw are not a number, and
    neither is any net that learns them.
    """
    recipe = load_recipe(tones_recipe(folder / "recipe"), overrides=overrides)
    assert isinstance(recipe, Recipe)
    stages = build_stages(recipe, None, None, _PROVENANCE)
    (stage,) = (each for each in stages if isinstance(each, SequenceStage))
    return stage, _work(WorkDir(folder / "work"), recipe)


def _work(work: WorkDir, recipe: Recipe) -> WorkDir:
    student = recipe.student_net()
    hmm = monophone_hmm(PhoneSet.from_lexicon(Lexicon({"a": [("A",)]})), HmmTopology(1, 1))
    hmm.save(work.align / HMM_FILE)
    write_json(work.align / FACTS_FILE, {"pdf_counts": [1] * hmm.num_pdfs, "fingerprint": "none"})
    dim = student.features.load(None).spec.dim
    generator = np.random.default_rng(0)
    for split, share in (("train", recipe.baseline.data_share), ("dev", 1.0)):
        features = {utt_id: generator.standard_normal((_FRAMES, dim), np.float32) for utt_id in _UTTERANCES}
        for utt_id, values in features.items():
            if not is_drawn(utt_id, share, DATA_SHARE_SEED):
                values[:] = math.nan
        _store(work.features(student.features.key, split), features)
        labels = {utt_id: generator.integers(hmm.num_pdfs, size=_FRAMES) for utt_id in _UTTERANCES}
        _store(work.align / split, {utt_id: row.astype(np.int32) for utt_id, row in labels.items()})
    # Without competitors the frames count alone.
    _store(work.lattices / LATTICE_SPLIT, {"none": np.zeros(1, np.int32)}, {"made_as": "none"})
    baselines = {f"baseline-{index:02}": net for index, net in enumerate(recipe.baseline_nets(), start=1)}
    write_json(baselines_file(work), list(baselines))
    for name, net in {**baselines, "student-01": student}.items():
        _save(work, name, net)
    return work


def _store(folder: Path, frames: dict[str, Array], meta: dict[str, str] | None = None) -> None:
    folder.mkdir(parents=True)
    first = next(iter(frames.values()))
    with FrameStoreWriter(folder, first.dtype, first.shape[1:], meta) as writer:
        for utt_id, values in frames.items():
            writer.add(utt_id, values)


def _save(work: WorkDir, name: str, net: NetConfig) -> None:
    card = new_card(work, net, None)
    card = card.model_copy(update={"provenance": {"settings": net.model_dump(mode="json")}})
    save_model(work.models / name, card.build_net(), card)
