"""Nets go on to learn from whole sentences, as a stage of a recipe."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from asr_kd.am.checkpoint import read_card
from asr_kd.data.frame_store import FrameStore
from asr_kd.errors import ConfigError
from asr_kd.report.results import read_results
from asr_kd.sweep import forget_stale
from tests.support.tones import tones_pipeline

REPOSITORY = Path(__file__).resolve().parents[2]
SEQUENCE = (
    "sequence={count: 1, num_processes: 1, lattices: {acoustic_scale: 0.3, num_processes: 1}, "
    "train: {learning_rate: 0.001, batch_size: 512}}"
)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sequence")
    tones_pipeline(folder, folder / "work", SEQUENCE).run()
    return folder / "work"


def test_each_system_has_a_row_more(work: Path) -> None:
    results = read_results(work / "results.json")
    for system in ("baseline", "student"):
        row = results.row(f"{system}-smbr", "test")
        assert row.wer is not None
        assert row.wer.mean < 0.2
        assert row.wer_gain is not None
        assert row.num_parameters == results.row(system, "test").num_parameters
    assert (work / "recognisers" / "student-smbr" / "recogniser.json").is_file()
    assert "student-smbr" in (work / "RESULTS.md").read_text()


def test_the_criterion_falls_and_the_net_says_where_it_began(work: Path) -> None:
    provenance = read_card(work / "models" / "student-smbr-01").provenance
    assert provenance["started_from"] == "student-01"
    assert provenance["seed"] == read_card(work / "models" / "student-01").provenance["seed"]
    errors = [row["means"]["smbr"] for row in provenance["epochs"]]
    assert len(errors) == 3
    assert errors[-1] < errors[0]


def test_lattices_hold_every_frame_of_their_utterances(work: Path) -> None:
    stored, alignment = FrameStore(work / "lattices" / "train"), FrameStore(work / "align" / "train")
    assert len(stored) == len(alignment)
    for utt_id, arcs in stored.items():
        first, last = alignment.span(utt_id)
        assert arcs["frame"].max() + 1 == last - first


def test_another_criterion_takes_the_same_lattices(work: Path, tmp_path: Path) -> None:
    shutil.copytree(work, tmp_path / "work")
    lattices = tmp_path / "work" / "lattices" / "train" / "frames.npy"
    before = lattices.stat().st_mtime_ns
    changes = (
        "sequence.criterion=teacher",
        "sequence.systems=[student]",
        "sequence.frame_weight=0.9",
        "sequence.frame_targets=start",
    )
    tones_pipeline(tmp_path, tmp_path / "work", SEQUENCE, *changes).run(
        from_stage="sequence", to_stage="sequence", force=True
    )
    assert lattices.stat().st_mtime_ns == before
    names = json.loads((tmp_path / "work" / "models" / "sequence.json").read_text())
    assert names == {"student-teacher": ["student-teacher-01"]}
    provenance = read_card(tmp_path / "work" / "models" / "student-teacher-01").provenance
    # The cross-entropy against a net's own posteriors begins as their entropy, and does not fall below it.
    frames = [row["means"]["frames"] for row in provenance["epochs"]]
    assert frames[-1] == pytest.approx(frames[0], rel=0.05)


def test_without_the_setting_nothing_is_different(tmp_path: Path) -> None:
    plain = tones_pipeline(tmp_path, tmp_path / "work")
    assert "sequence" not in [stage.name for stage in plain.stages]
    assert all("sequence" not in stage.needs for stage in plain.stages)


def test_an_unknown_criterion_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"sequence\.criterion") as caught:
        tones_pipeline(tmp_path, tmp_path / "work", SEQUENCE, "sequence.criterion=mpe")
    assert "\n" not in str(caught.value)


def test_one_more_seed_leaves_the_others_as_they_are(work: Path, tmp_path: Path) -> None:
    shutil.copytree(work, tmp_path / "work")
    weights = tmp_path / "work" / "models" / "student-smbr-01" / "model.safetensors"
    before = weights.stat().st_mtime_ns
    more = tones_pipeline(
        tmp_path, tmp_path / "work", SEQUENCE, "sequence.count=2", "sequence.systems=[student]"
    )
    forget_stale(more)
    more.run(to_stage="sequence")
    assert weights.stat().st_mtime_ns == before
