"""Runs stages in order: skips what is done, refuses what is stale, says which input changed."""

from __future__ import annotations

import errno
import json
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from asr_kd.atomic import write_json
from asr_kd.errors import StageError, did_you_mean, how_to_go_on
from asr_kd.fingerprint import fingerprint
from asr_kd.progress import say
from asr_kd.stages.base import Stage, WorkDir
from asr_kd.stages.provenance import peak_memory_bytes
from asr_kd.train import distributed


class State(StrEnum):
    """Of a stage in a work folder."""

    TODO = "to do"
    DONE = "done"
    STALE = "stale"


@dataclass(frozen=True)
class StageStatus:
    """What is known about a stage without running it.

    Attributes:
        stage: The stage.
        state: To do, done or stale.
        changes: For a stale one, what changed since it was done.
        marker: What was recorded when it was done; None when it never was.
    """

    stage: Stage
    state: State
    changes: tuple[str, ...] = ()
    marker: dict[str, Any] | None = None


class Pipeline:
    """Stages over one work folder.

    Args:
        stages: In the order in which they run.
        work: The work folder.
        facts: What ``run.json`` says about the recipe; written when stages run, not when they are looked
            at or refused.
    """

    def __init__(
        self, stages: Sequence[Stage], work: WorkDir, facts: Mapping[str, Any] | None = None
    ) -> None:
        self.stages = list(stages)
        self.work = work
        self.facts = facts
        self._names = [stage.name for stage in stages]

    def status(self) -> list[StageStatus]:
        """Return the state of every stage."""
        return [self._status(stage) for stage in self.stages]

    def select(self, from_stage: str | None, to_stage: str | None) -> list[Stage]:
        """Return the stages from one to another, both included.

        Raises:
            StageError: For an unknown name or an empty range.
        """
        first = self._index(from_stage) if from_stage else 0
        last = self._index(to_stage) if to_stage else len(self.stages) - 1
        if first > last:
            raise StageError(
                f"stage {from_stage} comes after stage {to_stage}", expected=f"order {' '.join(self._names)}"
            )
        return self.stages[first : last + 1]

    def _index(self, name: str) -> int:
        if name not in self._names:
            raise StageError(
                f'unknown stage "{name}"',
                expected=f"one of {', '.join(self._names)}",
                hint=did_you_mean(name, self._names),
            )
        return self._names.index(name)

    def run(
        self,
        from_stage: str | None = None,
        to_stage: str | None = None,
        *,
        force: bool = False,
        dry_run: bool = False,
    ) -> None:
        """Run the selected stages.

        Args:
            from_stage: First stage; earlier ones must be done.
            to_stage: Last stage.
            force: Redo the selected stages, done and stale ones too.
            dry_run: Only say what would be done.

        Raises:
            StageError: When a stage is stale, an earlier stage is not done, or the disk is full.
            ConfigError: When a stage's settings do not go with the corpus that there is.
        """
        selected = self.select(from_stage, to_stage)
        self._require_earlier(selected[0])
        for stage in selected:
            # Ranks decide alike, though they see the work folder at different moments.
            if distributed.first_says(distributed.is_first() and self._prepare(stage, force, dry_run)):
                self._keep_facts()
                self._run_stage(stage, force)
        if not dry_run:
            self._keep_facts()

    def _keep_facts(self) -> None:
        """Write ``run.json``, once a stage runs or all are found done: a refused run changes nothing."""
        if self.facts is not None and distributed.is_first():
            write_json(self.work.run_facts, self.facts)

    def _prepare(self, stage: Stage, force: bool, dry_run: bool) -> bool:
        """Return whether a stage is to run now, cleared of what an earlier run left when it is forced."""
        status = self._status(stage)
        if dry_run:
            say(f"{stage.name}: {_plan(status, force)}")
            return False
        if stage.needs:  # what needs nothing makes the corpus
            for each in self.stages[self._index(stage.name) :]:
                each.check_corpus(self.work)
        if status.state is State.DONE and not force:
            say(f"{stage.name}: done before, skipped")
            return False
        if status.state is State.STALE and not force:
            raise self._stale(status)
        if status.marker is not None and force:
            stage.discard(self.work)
        say(f"{stage.name}: started")
        self._marker_path(stage).unlink(missing_ok=True)
        return True

    def _require_earlier(self, first: Stage) -> None:
        for stage in self.stages[: self._index(first.name)]:
            status = self._status(stage)
            if status.state is State.STALE:
                raise self._stale(status)
            if status.state is State.TODO:
                raise StageError(
                    f"stage {first.name} builds on stage {stage.name}, which is not done",
                    where=self.work.root,
                    hint=f"start with --from-stage {stage.name}",
                )

    def _stale(self, status: StageStatus) -> StageError:
        return StageError(
            f"stage {status.stage.name} was done with other inputs: {'; '.join(status.changes)}",
            where=self.work.root,
            hint=f"redo it with --from-stage {status.stage.name} --force, or use another --work folder"
            + (f", or {status.stage.stale_hint}" if status.stage.stale_hint else ""),
        )

    def _run_stage(self, stage: Stage, force: bool) -> None:
        if not (stage.data_parallel or distributed.is_first()):
            return
        start = time.monotonic()
        try:
            with nullcontext() if stage.data_parallel else distributed.alone():
                summary = stage.run(self.work)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise StageError(
                f"the disk is full while stage {stage.name} writes",
                where=self.work.root,
                hint=f"free some space; {how_to_go_on(force)}",
            ) from error
        if not distributed.is_first():
            return
        seconds = time.monotonic() - start
        self._check_outputs(stage)
        write_json(self._marker_path(stage), self._marker(stage, seconds, summary))
        facts = ", ".join(f"{key} {_text(value)}" for key, value in summary.items())
        say(f"{stage.name}: finished in {seconds:.1f} s{': ' + facts if facts else ''}")

    def _check_outputs(self, stage: Stage) -> None:
        for path in stage.outputs(self.work):
            if not path.exists():
                raise StageError(f"stage {stage.name} did not write an output", where=path)

    def _marker(self, stage: Stage, seconds: float, summary: dict[str, Any]) -> dict[str, Any]:
        return {
            "stage": stage.name,
            "fingerprint": self._fingerprint(stage),
            "settings": stage.settings(),
            "inputs": self._inputs(stage),
            "sources": stage.sources(),
            "seconds": round(seconds, 1),
            "peak_memory_bytes": peak_memory_bytes(),
            "finished": time.strftime("%Y-%m-%dT%H:%M:%S"),
            "outputs": [str(path.relative_to(self.work.root)) for path in stage.outputs(self.work)],
            "summary": summary,
        }

    def _marker_path(self, stage: Stage) -> Path:
        return self.work.markers / f"{stage.name}.json"

    def _fingerprint(self, stage: Stage) -> str:
        content = stage.content(self.work)
        return fingerprint({"settings": stage.settings(), "inputs": self._inputs(stage), "content": content})

    def _inputs(self, stage: Stage) -> dict[str, str]:
        """Return the recorded fingerprints of the stages that a stage builds on."""
        inputs = {}
        for name in stage.needs:
            marker = _read_marker(self._marker_path(self.stages[self._index(name)]))
            inputs[name] = marker["fingerprint"] if marker else "not done"
        return inputs

    def _status(self, stage: Stage) -> StageStatus:
        marker = _read_marker(self._marker_path(stage))
        if marker is None:
            return StageStatus(stage, State.TODO)
        is_whole = stage.is_whole(self.work)
        changes = self._changes(stage, marker, None if is_whole else stage.outputs_named_by)
        if changes:
            return StageStatus(stage, State.STALE, tuple(changes), marker)
        return StageStatus(stage, State.DONE if is_whole else State.TODO, marker=marker)

    def _changes(self, stage: Stage, marker: dict[str, Any], may_grow: str | None) -> list[str]:
        """Return what is no longer as it was when a stage was done.

        Args:
            stage: The stage.
            marker: Of when it was done.
            may_grow: The setting that may have keys which it had not.
        """
        inputs = self._inputs(stage)
        before, now = marker.get("sources", {}), stage.sources()
        # What was not known then or is not now cannot differ; sources known by other things are others.
        known = before.keys() & now.keys()
        if before and now and not known:
            known = before.keys() | now.keys()
        return [
            *_differences(marker["settings"], json.loads(json.dumps(stage.settings())), may_grow),
            *_differences({key: before.get(key) for key in known}, {key: now.get(key) for key in known}),
            *(
                f"stage {name} was redone"
                for name, value in inputs.items()
                if marker["inputs"].get(name) != value
            ),
            *(f"stage {name} is left out" for name in marker["inputs"] if name not in inputs),
        ]


def _read_marker(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        marker: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise StageError(
            f"the record of a finished stage is damaged ({error})",
            where=path,
            hint="copy it again, or remove it: the stage is then made anew",
        ) from None
    return marker


def _differences(before: Any, now: Any, may_grow: str | None = None, where: str = "") -> list[str]:
    """Return the settings that differ, as ``a.b was 1, is 2``."""
    if where == may_grow and before is None:
        before = {}
    if isinstance(before, dict) and isinstance(now, dict):
        keys = sorted(before if where == may_grow else set(before) | set(now))
        return [
            line
            for key in keys
            for line in _differences(
                before.get(key), now.get(key), may_grow, f"{where}.{key}" if where else key
            )
        ]
    return [] if before == now else [f"{where} was {_text(before)}, is {_text(now)}"]


def _text(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _plan(status: StageStatus, force: bool) -> str:
    if force or status.state is State.TODO:
        return "would run"
    if status.state is State.DONE:
        return "done, would be skipped"
    return f"stale ({'; '.join(status.changes)}), would be refused without --force"
