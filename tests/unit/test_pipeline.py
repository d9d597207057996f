from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any, ClassVar

import pytest

from asr_kd.errors import StageError
from asr_kd.pipeline import Pipeline, State
from asr_kd.stages.base import Stage, WorkDir


class _First(Stage):
    name = "first"
    needs: ClassVar[tuple[str, ...]] = ()

    def __init__(self, value: int = 1, runs: list[str] | None = None) -> None:
        self.value = value
        self.runs = runs if runs is not None else []

    def settings(self) -> dict[str, Any]:
        return {"options": {"value": self.value, "same": True}}

    def outputs(self, work: WorkDir) -> list[Path]:
        return [work.root / f"{self.name}.txt"]

    def run(self, work: WorkDir) -> dict[str, Any]:
        self.runs.append(self.name)
        (work.root / f"{self.name}.txt").write_text(str(self.value))
        return {"value": self.value}


class _Second(_First):
    name = "second"
    needs = ("first",)


def _pipeline(work: Path, first: int = 1, second: int = 1) -> tuple[Pipeline, list[str]]:
    runs: list[str] = []
    return Pipeline([_First(first, runs), _Second(second, runs)], WorkDir(work)), runs


def _states(pipeline: Pipeline) -> list[State]:
    return [status.state for status in pipeline.status()]


def test_runs_in_order_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pipeline, runs = _pipeline(tmp_path)
    assert _states(pipeline) == [State.TODO, State.TODO]
    pipeline.run()
    pipeline.run()
    assert runs == ["first", "second"]
    assert _states(pipeline) == [State.DONE, State.DONE]
    assert "second: done before, skipped" in capsys.readouterr().err


def test_lost_output_is_made_again(tmp_path: Path) -> None:
    pipeline, runs = _pipeline(tmp_path)
    pipeline.run()
    (tmp_path / "second.txt").unlink()
    pipeline.run()
    assert runs == ["first", "second", "second"]


class _Several(_First):
    """Writes as many files as it has values."""

    name = "several"
    needs = ()
    outputs_named_by = "files"

    def __init__(self, *values: int, folds: int = 0) -> None:
        self.values = values
        self.folds = folds

    def settings(self) -> dict[str, Any]:
        files = {str(number): {"value": value} for number, value in enumerate(self.values)}
        if self.folds:
            files["0"]["folds"] = self.folds
        return {"files": files}

    def outputs(self, work: WorkDir) -> list[Path]:
        return [work.root / f"several-{number}.txt" for number in range(len(self.values))]

    def run(self, work: WorkDir) -> dict[str, Any]:
        for path, value in zip(self.outputs(work), self.values, strict=True):
            path.write_text(str(value))
        return {}


def test_a_further_output_is_made_and_a_changed_one_refused(tmp_path: Path) -> None:
    Pipeline([_Several(1)], WorkDir(tmp_path)).run()
    with pytest.raises(StageError, match=r"files\.0\.value was 1, is 2"):
        Pipeline([_Several(2, 3)], WorkDir(tmp_path)).run()
    with pytest.raises(StageError, match=r"files\.0\.folds was None, is 5"):
        Pipeline([_Several(1, 3, folds=5)], WorkDir(tmp_path)).run()
    assert not (tmp_path / "several-1.txt").exists()
    Pipeline([_Several(1, 3)], WorkDir(tmp_path)).run()
    assert (tmp_path / "several-1.txt").read_text() == "3"


def test_a_stage_whose_input_is_left_out_is_stale(tmp_path: Path) -> None:
    _pipeline(tmp_path)[0].run()
    alone = _Second(1)
    alone.needs = ()  # type: ignore[misc]  # as an object's own, which a class's may be
    assert Pipeline([_First(), alone], WorkDir(tmp_path)).status()[1].changes == ("stage first is left out",)


class _Reading(_First):
    """Reads a file of the user's."""

    name = "reading"
    needs = ()

    def __init__(self, path: Path | None) -> None:
        super().__init__()
        self.path = path

    def sources(self) -> dict[str, Any]:
        return {} if self.path is None else {"file": self.path.name, "texts": {"a": self.path.read_text()}}


def test_what_is_read_from_outside_may_not_differ_where_it_is_known(tmp_path: Path) -> None:
    for name in ("one.txt", "two.txt"):
        (tmp_path / name).write_text("same")
    Pipeline([_Reading(tmp_path / "one.txt")], WorkDir(tmp_path)).run()

    def changes(path: Path | None) -> tuple[str, ...]:
        return Pipeline([_Reading(path)], WorkDir(tmp_path)).status()[0].changes

    assert changes(None) == changes(tmp_path / "one.txt") == ()
    assert changes(tmp_path / "two.txt") == ("file was one.txt, is two.txt",)
    (tmp_path / "one.txt").write_text("edited")
    assert changes(tmp_path / "one.txt") == ("texts.a was same, is edited",)


def test_stale_stage_is_refused_and_says_what_changed(tmp_path: Path) -> None:
    _pipeline(tmp_path)[0].run()
    pipeline, runs = _pipeline(tmp_path, second=2)
    with pytest.raises(StageError, match=r"options.value was 1, is 2.*--from-stage second --force"):
        pipeline.run()
    assert runs == []
    assert (tmp_path / "second.txt").read_text() == "1"
    pipeline.run("second", force=True)
    assert runs == ["second"]
    assert (tmp_path / "second.txt").read_text() == "2"


def test_redone_input_makes_what_builds_on_it_stale(tmp_path: Path) -> None:
    _pipeline(tmp_path)[0].run()
    pipeline, _ = _pipeline(tmp_path, first=5)
    pipeline.run(to_stage="first", force=True)
    assert _states(pipeline) == [State.DONE, State.STALE]
    with pytest.raises(StageError, match="stage first was redone"):
        pipeline.run()


def test_later_stage_needs_the_earlier_ones(tmp_path: Path) -> None:
    pipeline, _ = _pipeline(tmp_path)
    with pytest.raises(StageError, match=r"builds on stage first.*--from-stage first"):
        pipeline.run("second")


def test_unknown_stage_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r'unknown stage "third"; expected one of first, second'):
        _pipeline(tmp_path)[0].run("third")
    with pytest.raises(StageError, match=r"did you mean second\?"):
        _pipeline(tmp_path)[0].run("secnd")
    with pytest.raises(StageError, match="second comes after stage first"):
        _pipeline(tmp_path)[0].run("second", "first")


def test_dry_run_does_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pipeline, runs = _pipeline(tmp_path)
    pipeline.run(to_stage="first")
    pipeline.run(dry_run=True)
    assert runs == ["first"]
    said = capsys.readouterr().err
    assert "first: done, would be skipped" in said
    assert "second: would run" in said


def test_full_disk_is_one_line_and_leaves_finished_stages(tmp_path: Path) -> None:
    class Full(_Second):
        def run(self, work: WorkDir) -> dict[str, Any]:
            raise OSError(errno.ENOSPC, "No space left on device")

    pipeline = Pipeline([_First(), Full()], WorkDir(tmp_path))
    with pytest.raises(StageError, match="the disk is full while stage second writes"):
        pipeline.run()
    assert _states(pipeline) == [State.DONE, State.TODO]


def test_marker_records_settings_time_and_inputs(tmp_path: Path) -> None:
    _pipeline(tmp_path)[0].run()
    marker = json.loads((tmp_path / "stages" / "second.json").read_text())
    assert marker["settings"] == {"options": {"value": 1, "same": True}}
    assert set(marker["inputs"]) == {"first"}
    assert marker["outputs"] == ["second.txt"]
    assert marker["seconds"] >= 0


def test_stage_that_writes_nothing_is_not_done(tmp_path: Path) -> None:
    class Lazy(_First):
        def run(self, work: WorkDir) -> dict[str, Any]:
            return {}

    pipeline = Pipeline([Lazy()], WorkDir(tmp_path))
    with pytest.raises(StageError, match="stage first did not write an output"):
        pipeline.run()
    assert _states(pipeline) == [State.TODO]
