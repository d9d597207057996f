"""Stage 7: the student learns from the posterior shards alone."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from asr_kd.data.manifest import LEARNT_SPLITS
from asr_kd.stages.base import Stage, WorkDir
from asr_kd.stages.labels import label_fingerprint, read_hmm
from asr_kd.stages.nets import NetConfig, discard_models
from asr_kd.stages.student_loss import StudentConfig
from asr_kd.stages.student_training import StudentPlan, train_students
from asr_kd.stages.teachers import spread


def student_name(index: int) -> str:
    """Return the name of the model directory of student ``index``, counted from 0."""
    return f"student-{index + 1:02}"


class StudentStage(Stage):
    """Trains every seed of the student into ``models/student-NN``.

    Args:
        config: The loss.
        net: The net and its training, with the first seed.
        starts: Model directories whose weights the seeds begin with, in turn; none for random ones.
    """

    name = "student"
    needs = ("ensemble",)
    data_parallel = True
    outputs_named_by = "nets"

    def __init__(self, config: StudentConfig, net: NetConfig, starts: Sequence[str] = ()) -> None:
        self.config = config
        self.starts = tuple(starts)
        self.nets = {
            student_name(index): net.model_copy(update={"seed": net.seed + index})
            for index in range(config.count)
        }

    def settings(self) -> dict[str, Any]:
        """Return loss and nets."""
        nets = {name: net.model_dump(mode="json") for name, net in self.nets.items()}
        return {"student": self.config.settings(), "nets": nets}

    def outputs(self, work: WorkDir) -> list[Path]:
        """Return the model directories."""
        return [work.models / name for name in self.nets]

    def check_corpus(self, work: WorkDir) -> None:
        """Refuse passes over splits that the corpus lacks."""
        self.config.epoch_splits([split for split in LEARNT_SPLITS if split in work.splits()])

    def discard(self, work: WorkDir) -> None:
        """Remove the models with their checkpoints."""
        discard_models(work, self.nets)

    def run(self, work: WorkDir) -> dict[str, Any]:
        """Train what is not trained yet; the shards must be those of this work folder's alignment."""
        expected = {"tree": read_hmm(work).tree.fingerprint, "alignment": label_fingerprint(work)}
        starts = itertools.cycle([work.models / name for name in self.starts] or [None])
        plans = [
            StudentPlan(
                work.shards, self.config, net, work.models / name, work.training / name, expected, start=start
            )
            for (name, net), start in zip(self.nets.items(), starts, strict=False)
        ]
        return {"dev frame accuracy": spread(train_students(plans))}
