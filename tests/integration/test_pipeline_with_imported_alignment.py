"""The stages up to a teacher on alignments that were made elsewhere."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

from asr_kd.config import load_recipe
from asr_kd.data.manifest import read_manifest
from asr_kd.errors import ConfigError, LexiconError
from asr_kd.experiment import open_pipeline
from asr_kd.lang.hmm import Hmm
from asr_kd.pipeline import Pipeline
from asr_kd.stages.base import WorkDir
from asr_kd.stages.provenance import describe_run
from tests.support.tone_corpus import WORDS
from tests.support.tones import tones_recipe

SETTINGS = [
    "decode.mixtures=false",
    "corpus.options.utterances=3",
    "teachers.count=1",
    "train.epochs=1",
    "control.count=0",
]


def open_tones(folder: Path, *settings: str) -> Pipeline:
    recipe = load_recipe(tones_recipe(folder), overrides=[*SETTINGS, *settings])
    provenance = describe_run("tones", "default", ["asr-kd", "run"])
    return open_pipeline(recipe, folder, folder / "work", None, provenance)


def write_ctms(work: WorkDir, phone: str = "{}") -> None:
    """Write the transcript's phones, each as long as the others, as the whole utterance."""
    for split in ("train", "dev", "test"):
        lines = []
        for row in read_manifest(work.manifest(split)):
            phones = [phone.format(name) for word in row.words for name in WORDS[word]]
            length = row.duration / len(phones)
            lines += [f"{row.utt_id} 1 {k * length:.4f} {length:.4f} {p}\n" for k, p in enumerate(phones)]
        (work.root / f"{split}.ctm").write_text("".join(lines))


def test_a_teacher_learns_from_an_imported_ctm(tmp_path: Path) -> None:
    path = tmp_path / "work" / "{split}.ctm"
    pipeline = open_tones(tmp_path, "align.imported.format=ctm", f"align.imported.path={path}")
    pipeline.run(to_stage="features")
    write_ctms(pipeline.work, "ton_{}")
    with pytest.raises(LexiconError, match=r'train\.ctm:1: phone "ton_.*" has no model'):
        pipeline.run(from_stage="align", to_stage="align")
    write_ctms(pipeline.work)
    pipeline.run(from_stage="align", to_stage="teachers")
    facts = json.loads((pipeline.work.align / "alignment.json").read_text())
    assert facts["splits"]["train"]["aligned"] == 12
    hmm = Hmm.load(pipeline.work.align / "hmm.json")
    assert len(set(hmm.self_loop_probability.tolist())) > 1
    row = read_manifest(pipeline.work.manifest("train"))[0]
    pdf_ids = pipeline.work.alignment("train").get(row.utt_id)
    first = hmm.phone_set.phone_id(WORDS[row.words[0]][0])
    assert hmm.tree.phone_and_state(int(pdf_ids[0])) == (first, 0)
    assert (pipeline.work.models / "teacher-01" / "model.json").is_file()


def test_what_builds_on_an_alignment_that_changed_is_stale(tmp_path: Path) -> None:
    path = tmp_path / "work" / "{split}.ctm"
    pipeline = open_tones(tmp_path, "align.imported.format=ctm", f"align.imported.path={path}")
    pipeline.run(to_stage="features")
    write_ctms(pipeline.work)
    pipeline.run(to_stage="teachers")
    dev = tmp_path / "work" / "dev.ctm"
    lines = dev.read_text().splitlines(keepends=True)
    dev.write_text("".join(lines).replace(lines[0], ""))  # its frames are silence then
    pipeline.run(from_stage="align", to_stage="align", force=True)
    assert pipeline.status()[3].changes == ("stage align was redone",)


def test_senones_are_built_from_an_imported_ctm(tmp_path: Path) -> None:
    path = tmp_path / "work" / "{split}.ctm"
    imported = f"align.imported={{format: ctm, path: '{path}'}}"
    pipeline = open_tones(tmp_path, imported, "align.senones={num_leaves: 18, min_frames: 1}")
    pipeline.run(to_stage="features")
    write_ctms(pipeline.work)
    pipeline.run(from_stage="align", to_stage="align")
    hmm = Hmm.load(pipeline.work.align / "hmm.json")
    assert (hmm.tree.context_width, hmm.num_pdfs) == (3, 18)
    row = read_manifest(pipeline.work.manifest("dev"))[0]
    pdf_ids = pipeline.work.alignment("dev").get(row.utt_id)
    phones = [hmm.tree.phone_and_state(int(pdf_id))[0] for pdf_id in pdf_ids]
    expected = [hmm.phone_set.phone_id(name) for word in row.words for name in WORDS[word]]
    assert [key for key, _ in itertools.groupby(phones)] == [key for key, _ in itertools.groupby(expected)]


def test_senones_of_a_model_and_new_ones_contradict_each_other(tmp_path: Path) -> None:
    settings = ["align.imported={format: ctm, path: x.ctm, hmm: h.json}", "align.senones={num_leaves: 20}"]
    with pytest.raises(ConfigError, match=r"leave out one of imported\.hmm and senones"):
        open_tones(tmp_path, *settings)
