"""Under ``torchrun`` every rank ran the whole sweep, all of them in the same work folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from asr_kd.cli.app import main
from tests.support.tones import tones_recipe


def _sweep(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, num_ranks: int, to_stage: str) -> int:
    arguments = ["sweep", str(tones_recipe(tmp_path / "recipe")), "--work", str(tmp_path / "work")]
    arguments += ["--grid", "student.hard_weight=0,0.5", "--to-stage", to_stage]
    monkeypatch.setattr("sys.argv", ["asr-kd", *arguments])
    monkeypatch.setenv("WORLD_SIZE", str(num_ranks))
    with pytest.raises(SystemExit) as end:
        main()
    assert isinstance(end.value.code, int)
    return end.value.code


def test_is_refused_before_anything_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _sweep(monkeypatch, tmp_path, 2, "student") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: torchrun: a sweep is run by one process; got 2 ranks; ")
    assert "--launcher ray" in line
    assert [path.name for path in tmp_path.iterdir()] == ["recipe"]


def test_one_rank_may_sweep(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _sweep(monkeypatch, tmp_path, 1, "align") == 1
    assert "--to-stage: a sweep ends with student or score" in capsys.readouterr().err
