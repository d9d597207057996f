"""Frame accuracies of different senones were compared as long as the numbers of frames agreed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from asr_kd.cli.app import app
from asr_kd.data.frame_store import FrameStoreWriter
from asr_kd.data.manifest import Utterance, write_manifest
from asr_kd.stages.base import WorkDir


def _decoded(root: Path, num_right: int, pdf_ids: tuple[int, ...], tree: str) -> Path:
    """Write what ``compare`` reads of a finished work folder, with one test utterance."""
    work = WorkDir(root)
    work.corpus.mkdir(parents=True)
    write_manifest(work.manifest("test"), [Utterance("u1", "s1", "a.wav", 16000, 16000, "one two")])
    aligned = work.align / "test"
    aligned.mkdir(parents=True)
    with FrameStoreWriter(aligned, "int32", (), {"tree": tree}) as writer:
        writer.add("u1", np.array(pdf_ids, dtype=np.int32))
    system = work.decode / "student-01"
    system.mkdir(parents=True)
    work.run_facts.write_text("{}")
    (work.decode / "systems.json").write_text('{"student": ["student-01"]}')
    (system / "system.json").write_text('{"models": [], "num_parameters": 1, "real_time_factor": 0.1}')
    (system / "test.txt").write_text("u1 one two\n")
    (system / "test-frames.json").write_text(json.dumps({"u1": [num_right, len(pdf_ids)]}))
    return root


def _compared(first: Path, second: Path) -> list[str]:
    done = CliRunner().invoke(app, ["compare", str(first), str(second)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout.splitlines()


@pytest.mark.parametrize(("pdf_ids", "tree"), [((0, 0, 1, 1), "monophones"), ((0, 1, 1, 1), "triphones")])
def test_are_told_and_not_compared(tmp_path: Path, pdf_ids: tuple[int, ...], tree: str) -> None:
    first = _decoded(tmp_path / "first", 4, pdf_ids, tree)
    second = _decoded(tmp_path / "second", 2, (0, 1, 1, 1), "monophones")
    words, frames = _compared(first, second)[:3], _compared(first, second)[3:]
    assert words[2].startswith("difference in WER ")
    assert frames == [
        f"{first}: frame accuracy 100.00 %",
        f"{second}: frame accuracy 50.00 %",
        "frame accuracies are of different alignments of test and are not compared",
    ]


def test_of_one_alignment_are_compared(tmp_path: Path) -> None:
    first = _decoded(tmp_path / "first", 4, (0, 1, 1, 1), "monophones")
    second = _decoded(tmp_path / "second", 2, (0, 1, 1, 1), "monophones")
    assert _compared(first, second)[5].startswith("difference in frame accuracy +50.00 points")
