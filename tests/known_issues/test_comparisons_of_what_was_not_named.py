"""``compare`` took a lone ``student`` for a folder, named an option that it lacked and printed too soon."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from asr_kd.cli.app import app
from asr_kd.data.frame_store import FrameStoreWriter
from asr_kd.data.manifest import Utterance, write_manifest
from asr_kd.errors import ScoringError
from asr_kd.stages.base import WorkDir


def _decoded(root: Path, utt_ids: tuple[str, ...] = ("u1", "u2")) -> Path:
    """Write what ``compare`` reads of a finished work folder: a student and a worse baseline."""
    work = WorkDir(root)
    work.corpus.mkdir(parents=True)
    rows = [Utterance(utt_id, "s1", "a.wav", 16000, 16000, "one two") for utt_id in utt_ids]
    write_manifest(work.manifest("test"), rows)
    (work.align / "test").mkdir(parents=True)
    with FrameStoreWriter(work.align / "test", "int32", (), {"tree": "monophones"}) as writer:
        for utt_id in utt_ids:
            writer.add(utt_id, np.array([0, 1], dtype=np.int32))
    for name, found in (("student", "one two"), ("baseline", "one")):
        system = work.decode / f"{name}-01"
        system.mkdir(parents=True)
        (system / "system.json").write_text('{"models": [], "num_parameters": 1, "real_time_factor": 0.1}')
        (system / "test.txt").write_text("".join(f"{utt_id} {found}\n" for utt_id in utt_ids))
        (system / "test-frames.json").write_text(json.dumps({utt_id: [1, 2] for utt_id in utt_ids}))
    work.run_facts.write_text("{}")
    (work.decode / "systems.json").write_text('{"student": ["student-01"], "baseline": ["baseline-01"]}')
    return root


def _compared(*arguments: object) -> str:
    done = CliRunner().invoke(app, ["compare", *map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_a_system_without_a_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(_decoded(tmp_path / "work"))
    message = r"^student: neither .* nor WORK:SYSTEM; .*current folder.* \.:SYSTEM"
    with pytest.raises(ScoringError, match=message):
        _compared("student", "baseline")
    for first, second in ((".:student", ".:baseline"), (":student", ":baseline"), (".", ".:baseline")):
        assert f"{second}: WER 50.00 %\ndifference in WER -50.00 points" in _compared(first, second)


def test_systems_of_other_utterances_are_refused_before_anything_is_printed(tmp_path: Path) -> None:
    first, second = _decoded(tmp_path / "first"), _decoded(tmp_path / "second", ("u1", "u3"))
    done = CliRunner().invoke(app, ["compare", str(first), str(second)])
    assert isinstance(done.exception, ScoringError)
    assert "different utterances; got only one has u2, u3" in str(done.exception)
    assert done.stdout == ""


def test_missing_hypotheses_count_as_empty_when_asked(tmp_path: Path) -> None:
    for name, text in (("ref", "u1 a b\nu2 c d\n"), ("x", "u1 a b\nu2 c d\n"), ("y", "u1 a b\n")):
        (tmp_path / name).write_text(text)
    files = [tmp_path / "x", tmp_path / "y", "--reference", tmp_path / "ref"]
    with pytest.raises(ScoringError, match=r"1 of 2 references have no hypothesis.*--missing-as-empty"):
        _compared(*files)
    assert "difference in WER -50.00 points" in _compared(*files, "--missing-as-empty")


def test_of_work_folders_nothing_is_missing(tmp_path: Path) -> None:
    work = _decoded(tmp_path / "work")
    with pytest.raises(ScoringError, match=r"--missing-as-empty is for hypothesis files; .*--reference FILE"):
        _compared(work, f"{work}:baseline", "--missing-as-empty")
