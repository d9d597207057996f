"""Stages 4 and 5: the teachers, and the baseline that the student is compared with."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from asr_kd.am.checkpoint import ModelCard
from asr_kd.atomic import write_json
from asr_kd.fingerprint import fingerprint
from asr_kd.stages.base import Stage, WorkDir
from asr_kd.stages.nets import (
    NetConfig,
    discard_models,
    nets_at_a_time,
    train_hard_together,
    train_missing,
    trained_hard_before,
)
from asr_kd.train import distributed
from asr_kd.train.parallel import run_side_by_side


def teacher_name(index: int) -> str:
    """Return the name of the model directory of teacher ``index``, counted from 0."""
    return f"teacher-{index + 1:02}"


def baseline_name(index: int) -> str:
    """Return the name of the model directory of baseline ``index``, counted from 0."""
    return f"baseline-{index + 1:02}"


def control_name(index: int) -> str:
    """Return the name of the model directory of control ``index``, counted from 0."""
    return f"control-{index + 1:02}"


def baselines_file(work: WorkDir) -> Path:
    """Return the path of the list of the baselines' model directories."""
    return work.models / "baseline.json"


def read_baselines(work: WorkDir) -> list[str]:
    """Return the names of the baselines' model directories, some of which may be teachers'."""
    names: list[str] = json.loads(baselines_file(work).read_text(encoding="utf-8"))
    return names


class TeachersStage(Stage):
    """Trains every teacher into ``models/teacher-NN``.

    Args:
        nets: One setting a teacher.
        search_path: The recipe's folder.
    """

    name = "teachers"
    needs = ("features", "align")
    data_parallel = True
    outputs_named_by = ""

    def __init__(self, nets: Sequence[NetConfig], search_path: Path | None) -> None:
        self.nets = {teacher_name(index): net for index, net in enumerate(nets)}
        self.search_path = search_path

    def settings(self) -> dict[str, Any]:
        """Return every teacher's settings."""
        return _settings(self.nets)

    def outputs(self, work: WorkDir) -> list[Path]:
        """Return the model directories."""
        return [work.models / name for name in self.nets]

    def discard(self, work: WorkDir) -> None:
        """Remove the models with their checkpoints."""
        discard_models(work, self.nets)

    def run(self, work: WorkDir) -> dict[str, Any]:
        """Train what is not trained yet."""
        return {"dev frame accuracy": spread(_train_all(work, self.nets, self.search_path))}


class BaselineStage(Stage):
    """Trains single nets of the student's size on hard labels, or names the teachers that are just that.

    Args:
        nets: One setting a seed.
        controls: The same for nets with the student's number of updates.
        teachers: The teachers' settings; equal ones are not trained twice.
        search_path: The recipe's folder.
    """

    name = "baseline"
    needs = ("features", "align", "teachers")
    data_parallel = True
    outputs_named_by = ""

    def __init__(
        self,
        nets: Sequence[NetConfig],
        controls: Sequence[NetConfig],
        teachers: Sequence[NetConfig],
        search_path: Path | None,
    ) -> None:
        self.nets = {baseline_name(index): net for index, net in enumerate(nets)}
        self.controls = {control_name(index): net for index, net in enumerate(controls)}
        self.teachers = list(teachers)
        self.search_path = search_path

    def settings(self) -> dict[str, Any]:
        """Return the settings of every baseline and control."""
        return _settings({**self.nets, **self.controls})

    def outputs(self, work: WorkDir) -> list[Path]:
        """Return the list of baselines' model directories, and those of what no teacher is."""
        return [baselines_file(work), *(work.models / name for name in {**self._own(), **self.controls})]

    def is_whole(self, work: WorkDir) -> bool:
        """Return whether all nets are there, those that are teachers in the list of baselines too."""
        return super().is_whole(work) and read_baselines(work) == self._names()

    def _own(self) -> dict[str, NetConfig]:
        """Return the baselines that no teacher is."""
        return {name: net for name, net in self.nets.items() if net not in self.teachers}

    def _names(self) -> list[str]:
        """Return the baselines' model directories."""
        return [
            teacher_name(self.teachers.index(net)) if net in self.teachers else name
            for name, net in self.nets.items()
        ]

    def discard(self, work: WorkDir) -> None:
        """Remove the models with their checkpoints, but no teacher."""
        discard_models(work, {**self.nets, **self.controls})
        super().discard(work)

    def run(self, work: WorkDir) -> dict[str, Any]:
        """Train what no teacher is, and list the baselines' model directories in ``baseline.json``."""
        own, names = self._own(), self._names()
        cards = _train_all(work, {**own, **self.controls}, self.search_path)
        if distributed.is_first():
            write_json(baselines_file(work), names)
        summary = {"models": " ".join(names)}
        if own:
            summary["dev frame accuracy"] = spread(cards[: len(own)])
        if self.controls:
            summary["control's dev frame accuracy"] = spread(cards[len(own) :])
        return summary


def _settings(nets: Mapping[str, NetConfig]) -> dict[str, Any]:
    return {name: net.model_dump(mode="json") for name, net in nets.items()}


def _train_all(work: WorkDir, nets: Mapping[str, NetConfig], search_path: Path | None) -> list[ModelCard]:
    def train(names: Sequence[str]) -> Sequence[ModelCard]:
        new = {name: nets[name] for name in names}
        groups = [{name: new[name] for name in group} for group in _groups(new)]
        arguments = [(work, group, search_path) for group in groups]
        trained = run_side_by_side(train_hard_together, arguments, nets_at_a_time(new.values()))
        cards: dict[str, ModelCard] = {}
        for group, of_group in zip(groups, trained, strict=True):
            cards |= zip(group, of_group, strict=True)
        return [cards[name] for name in names]

    return train_missing(nets, lambda name: trained_hard_before(work, nets[name], name), train)


def _groups(nets: Mapping[str, NetConfig]) -> list[list[str]]:
    """Return which nets are trained in step with each other, if they want to be; the others by themselves."""
    groups: dict[str, list[str]] = {}
    for name, net in nets.items():
        alike = fingerprint(net.model_dump(mode="json", exclude={"seed", "data_seed"}))
        groups.setdefault(alike if net.train.together else name, []).append(name)
    return list(groups.values())


def spread(cards: Sequence[ModelCard]) -> str:
    """Return mean and standard deviation of the models' frame accuracy on dev as text."""
    values = [100 * card.provenance["dev_frame_accuracy"] for card in cards]
    if len(values) == 1:
        return f"{values[0]:.2f} %"
    return f"{np.mean(values):.2f} % (sd {np.std(values, ddof=1):.2f} over {len(values)})"
