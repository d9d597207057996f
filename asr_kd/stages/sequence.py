"""A further stage after the student: nets trained on frames go on to learn from whole sentences."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from asr_kd.am.checkpoint import ModelCard, load_model
from asr_kd.atomic import write_json
from asr_kd.data.utterance_source import UtteranceSource
from asr_kd.distill.sequence_loss import Criterion, SequenceLoss
from asr_kd.fingerprint import fingerprint, unless
from asr_kd.stages.base import Settings, Stage, WorkDir
from asr_kd.stages.ensemble import DATA_SHARE_SEED
from asr_kd.stages.lattices import LATTICE_SPLIT, LatticesConfig, LatticesStage, StoredLattices
from asr_kd.stages.nets import (
    NetConfig,
    NetTraining,
    aligned_utterances,
    discard_models,
    hard_source,
    train_net,
    trained_before,
)
from asr_kd.stages.overrides import ModelChanges, TrainChanges, updated
from asr_kd.stages.student import student_name
from asr_kd.stages.teachers import read_baselines, spread
from asr_kd.train.config import TrainConfig
from asr_kd.train.parallel import run_side_by_side

SEQUENCE_FILE = "sequence.json"
"""Beside the models: which of them each system has."""

# The epoch is not chosen by frame accuracy, which sentences trade for words.
_TRAIN = TrainConfig(
    epochs=3, batch_size=4096, learning_rate=5e-5, weight_decay=0.0, early_stopping=False, precision="fp32"
)
_OF_THE_RECIPE = ("device", "checkpoint_seconds")


class SequenceConfig(Settings):
    """What nets learn from whole sentences.

    Attributes:
        criterion: ``smbr`` (expected state errors), ``mmi``, or ``teacher`` (the ensemble's distribution
            over the paths of the lattice).
        systems: Whose nets go on to learn; each gives a further system, such as ``student-smbr``.
        count: How many seeds of each; None takes all.
        frame_weight: Weight of the frames' cross-entropy; the criterion has the rest.
        frame_targets: What that is against: the aligned states (``labels``), or the posteriors of the net as
            it begins (``start``), so that a student keeps what it learnt from the ensemble.
        lattices: What competes; made once with the ensemble, for all nets and criteria.
        model: What the nets have differently here: no dropout, which would blur the paths.
        train: What they train with differently from this stage's own settings: 3 epochs of AdamW at 5e-5,
            4,096 frames a step, no early stopping; ``device`` and ``checkpoint_seconds`` are the recipe's.
        num_processes: Nets that learn at a time; None: about one a core.
    """

    criterion: Criterion = "smbr"
    systems: tuple[Literal["baseline", "student"], ...] = Field(("baseline", "student"), min_length=1)
    count: int | None = Field(None, ge=1)
    frame_weight: float = Field(0.1, ge=0, lt=1)
    frame_targets: Literal["labels", "start"] = unless("labels")
    lattices: LatticesConfig = LatticesConfig()
    model: ModelChanges = {"options": {"dropout": 0.0}}
    train: TrainChanges = {}
    num_processes: int | None = Field(None, ge=1)

    def training(self, usual: TrainConfig) -> TrainConfig:
        """Return how the nets are trained here; where, and how often they are saved, is as ``usual``."""
        own = _TRAIN.model_copy(update={name: getattr(usual, name) for name in _OF_THE_RECIPE})
        return updated(own, self.train)

    def identity(self) -> dict[str, Any]:
        """Return the settings as JSON, without those of the lattices."""
        return self.model_dump(mode="json", exclude={"lattices", "num_processes"})

    def net_identity(self) -> dict[str, Any]:
        """Return what one net depends on: not which others there are."""
        return {key: value for key, value in self.identity().items() if key not in {"systems", "count"}}


class SequenceStage(Stage):
    """Writes the nets ``models/<system>-<criterion>-NN`` and the list of them.

    Args:
        config: Settings.
        num_students: How many seeds of the student there are.
        student_share: Share of the training utterances whose labels the students have learnt.
        train: The recipe's training, for where nets train and how often they are saved meanwhile.
    """

    name = "sequence"
    needs = ("features", "align", "baseline", "student", LatticesStage.name)

    def __init__(
        self, config: SequenceConfig, num_students: int, student_share: float, train: TrainConfig
    ) -> None:
        self.config = config
        self.num_students = num_students
        self.train = config.training(train)
        # A student's own settings do not say it: they are those of a net that learns whatever shards hold.
        draw = {"data_share": student_share, "data_seed": DATA_SHARE_SEED}
        self.changes = {"student": draw} if student_share < 1 and "student" in config.systems else {}

    def settings(self) -> dict[str, Any]:
        """Return criterion and training."""
        return {"sequence": self.config.identity(), **self.changes}

    def outputs(self, work: WorkDir) -> list[Path]:
        """Return the list of models, and those that it names."""
        names = [name for names in sequence_models(work).values() for name in names]
        return [work.models / SEQUENCE_FILE, *(work.models / name for name in names)]

    def discard(self, work: WorkDir) -> None:
        """Remove the models with their checkpoints."""
        discard_models(work, [name for names in sequence_models(work).values() for name in names])
        super().discard(work)

    def run(self, work: WorkDir) -> dict[str, Any]:
        """Train what is not trained yet."""
        starts = self._starts(work)
        nets = {
            f"{system}-{self.config.criterion}": {
                f"{system}-{self.config.criterion}-{index:02}": start
                for index, start in enumerate(models, start=1)
            }
            for system, models in starts.items()
        }
        pairs = {name: start for members in nets.values() for name, start in members.items()}
        arguments = [
            (work, self.config, start, name, {"train": self.train, **self.changes.get(system, {})})
            for system, members in zip(starts, nets.values(), strict=True)
            for name, start in members.items()
        ]
        cards = run_side_by_side(train_on_sentences, arguments, self.config.num_processes)
        write_json(work.models / SEQUENCE_FILE, {group: list(members) for group, members in nets.items()})
        by_name = dict(zip(pairs, cards, strict=True))
        return {
            f"{group}, dev frame accuracy": spread([by_name[name] for name in members])
            for group, members in nets.items()
        }

    def _starts(self, work: WorkDir) -> dict[str, list[str]]:
        """Return the nets that go on to learn, by system."""
        baselines = read_baselines(work)
        students = [student_name(index) for index in range(self.num_students)]
        nets = {"baseline": baselines, "student": students}
        return {system: nets[system][: self.config.count] for system in self.config.systems}


def sequence_models(work: WorkDir) -> dict[str, list[str]]:
    """Return the model directories of the systems that learnt from sentences; none where no stage did it."""
    path = work.models / SEQUENCE_FILE
    found: dict[str, list[str]] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return found


def train_on_sentences(
    work: WorkDir, config: SequenceConfig, start: str, name: str, changes: Mapping[str, Any]
) -> ModelCard:
    """Let a net go on to learn from whole sentences, into ``models/<name>``; skip it when it is there.

    Args:
        work: The work folder, with lattices.
        config: Criterion and training.
        start: Model directory of the net to begin with.
        name: Of the new model directory.
        changes: To the settings of the net to begin with: its training, and which utterances it has learnt
            where they do not say it.
    """
    model = load_model(work.models / start)
    net = _net(NetConfig.model_validate(model.card.provenance["settings"]), config, changes)
    start_net = model.net.to(net.train.torch_device())
    lattices = StoredLattices(work)
    facts = {"started_from": start, "sequence": config.model_dump(mode="json")}
    trained_as = fingerprint(
        {
            "net": net.model_dump(mode="json"),
            "sequence": config.net_identity(),
            "lattices": lattices.fingerprint,
            "weights": model.fingerprint,
            **({"draw": net.draw} if net.data_share < 1 else {}),
        }
    )
    features, alignment = work.feature_store(net.features.key, LATTICE_SPLIT), work.alignment(LATTICE_SPLIT)
    utt_ids = aligned_utterances(work, net, LATTICE_SPLIT, net.data_share)
    return trained_before(work.models / name, trained_as) or train_net(
        NetTraining(
            work.models / name,
            work.training / name,
            net,
            model.card.model_copy(update={"architecture": net.model}),
            trained_as,
            UtteranceSource(
                features, alignment, utt_ids, net.train.batch_size, net.window.window(), net.seed
            ),
            hard_source(work, net, "dev", 1.0),
            SequenceLoss(
                config.criterion,
                config.lattices.acoustic_scale,
                config.frame_weight,
                model.prior,
                lambda number: lattices.competitors(utt_ids[number]),
                start_net if config.frame_targets == "start" else None,
            ),
            facts,
            start=start_net,
        )
    )


def _net(net: NetConfig, config: SequenceConfig, changes: Mapping[str, Any]) -> NetConfig:
    """Return a net's settings as they are here."""
    return net.model_copy(update={**changes, "model": updated(net.model, config.model), "views": None})
