"""Senones through all stages: teachers, shards, student and graph share one tree."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from asr_kd.am.checkpoint import read_card
from asr_kd.cli.tree_commands import tree
from asr_kd.errors import AlignmentError, ConfigError, StageError
from asr_kd.lang.hmm import Hmm
from asr_kd.pipeline import Pipeline
from asr_kd.report.results import read_results
from tests.support.tones import tones_pipeline, tones_recipe

REPOSITORY = Path(__file__).resolve().parents[2]
NUM_LEAVES = 22
SENONES = (
    f"align.senones={{num_leaves: {NUM_LEAVES}, min_frames: 20, num_iterations: 4, "
    "total_gaussians: 30, last_mixing_iteration: 3}"
)


def pipeline(folder: Path, *overrides: str) -> Pipeline:
    return tones_pipeline(folder, folder / "work", *overrides)


def asr_kd(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    command = [sys.executable, "-c", "from asr_kd.cli import main; main()", *map(str, arguments)]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tones_recipe(tmp_path_factory.mktemp("senones"))
    done = asr_kd("run", folder, "--work", folder / "work", "--set", SENONES)
    assert done.returncode == 0, done.stderr
    return folder / "work"


def test_one_tree_from_alignment_to_recogniser(work: Path) -> None:
    grown = Hmm.load(work / "align" / "hmm.json").tree
    assert (grown.num_pdfs, grown.context_width) == (NUM_LEAVES, 3)
    header = json.loads((work / "shards" / "header.json").read_text())
    graph = json.loads((work / "graph" / "graph.json").read_text())
    assert header["tree"] == grown.fingerprint
    assert graph["num_pdfs"] == NUM_LEAVES
    for name in ("teacher-01", "teacher-02", "student-01"):
        card = read_card(work / "models" / name)
        assert (card.num_senones, card.tree_fingerprint) == (NUM_LEAVES, grown.fingerprint)
    counts = json.loads((work / "align" / "alignment.json").read_text())["pdf_counts"]
    assert len(counts) == NUM_LEAVES
    assert min(counts) > 0


def test_words_are_recognised(work: Path) -> None:
    results = read_results(work / "results.json")
    for system in ("baseline", "ensemble", "student"):
        row = results.row(system, "test")
        assert row.wer is not None
        assert row.wer.mean < 0.1, f"{system} {row.wer.mean}"


def test_the_tree_of_a_phone_is_printed_and_drawn(work: Path, tmp_path: Path) -> None:
    done = asr_kd("tree", work, "--phone", "A", "--output", tmp_path / "a.svg")
    assert done.returncode == 0, done.stderr
    assert re.match(r"A, state 1 of 3: \d senones?, [\d,]+ frames", done.stdout)
    leaves = re.findall(r"senone (\d+), ", done.stdout)
    grown = Hmm.load(work / "align" / "hmm.json").tree
    assert {grown.phone_and_state(int(leaf))[0] for leaf in leaves} == {2}
    drawn = (tmp_path / "a.svg").read_text()
    assert all(f"senone {leaf}, " in drawn for leaf in leaves)


def test_the_tree_command_refuses_in_one_line(work: Path, tmp_path: Path) -> None:
    done = asr_kd("tree", work, "--phone", "ZH")
    assert done.returncode == 1
    assert done.stderr.startswith('error: phone "ZH" is not in the phone set')
    assert len(done.stderr.splitlines()) == 1
    with pytest.raises(ConfigError, match=r"expected .svg or .png, got .pdf"):
        tree(work, "A", tmp_path / "a.pdf")
    with pytest.raises(StageError, match="run stage align"):
        tree(tmp_path, "A")


def test_more_senones_than_the_data_allow_is_one_line(work: Path, tmp_path: Path) -> None:
    shutil.copytree(work, tmp_path / "work", ignore=shutil.ignore_patterns("models", "shards"))
    for num_leaves, message in ((14, "expected 15 or more"), (9000, "too little data for so many senones")):
        stages = pipeline(tmp_path, SENONES, f"align.senones.num_leaves={num_leaves}")
        with pytest.raises(AlignmentError, match=message) as caught:
            stages.run(from_stage="align", to_stage="align", force=True)
        assert "\n" not in str(caught.value)


def test_senones_are_settings_of_the_alignment_alone_when_they_are_there(tmp_path: Path) -> None:
    plain, with_senones = pipeline(tmp_path), pipeline(tmp_path, SENONES)
    assert "senones" not in plain.stages[2].settings()["align"]
    assert with_senones.stages[2].settings()["align"]["senones"]["num_leaves"] == NUM_LEAVES
