"""The training of a student from a shard set, in a work folder or far from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from asr_kd.am.checkpoint import CARD_FILE, FrontendCard, ModelCard, load_model
from asr_kd.data.manifest import LEARNT_SPLITS
from asr_kd.distill.shard_header import ShardSetHeader
from asr_kd.distill.shard_reader import ShardBatchSource
from asr_kd.distill.shard_set import ShardSet, open_shard_set
from asr_kd.distill.target_decoder import pool_device
from asr_kd.errors import ConfigError, ShardError
from asr_kd.fingerprint import fingerprint
from asr_kd.stages.nets import (
    NetConfig,
    NetTraining,
    nets_at_a_time,
    train_missing,
    train_net,
    trained_before,
)
from asr_kd.stages.student_loss import DistillationLoss, StudentConfig
from asr_kd.train import distributed
from asr_kd.train.parallel import run_side_by_side

_DEV_BATCH = 2048


@dataclass(frozen=True)
class StudentPlan:
    """A student that is to learn from a shard set; nothing else is read but a net to start from.

    Attributes:
        shards: Folder or URL of the shard set.
        config: The loss.
        net: The net, its training and seed; the shards must hold its features.
        folder: Where the model directory goes; one that was trained just so is kept.
        training: For checkpoints and logs.
        expected: Further header fields that the shards must have.
        splits: To learn from, as far as the shards have them.
        start: Model directory of a net of this shape, whose weights it begins with.
    """

    shards: str | Path
    config: StudentConfig
    net: NetConfig
    folder: Path
    training: Path
    expected: Mapping[str, object] = field(default_factory=dict)
    splits: Sequence[str] = LEARNT_SPLITS
    start: Path | None = None

    def prepared(self) -> NetTraining:
        """Return the training, before anything of the shards but their header is read.

        Raises:
            ShardError: When the shards were made for something else, naming the field.
            ConfigError: When the net to start from is not given, has another shape, or other inputs and
                outputs.
            ModelError: When it is not there.
        """
        config, net = self.config, self.net
        if config.start == "teacher" and self.start is None:
            raise ConfigError("no teacher to start from", where="student.start", hint="give --start MODEL")
        shard_set = open_shard_set(self.shards, {**_expected_fields(net), **self.expected})
        header = shard_set.header
        temperature = config.temperature or header.temperature
        card = _new_card(header, net)
        identity: dict[str, Any] = {
            "header": header.model_dump(mode="json"),
            "net": net.model_dump(mode="json"),
        }
        learnt = [split for split in self.splits if split in header.splits]
        loss_settings = config.loss_settings()
        facts: dict[str, Any] = {
            "loss": {**loss_settings, "temperature": temperature},
            "teachers": list(header.teachers),
        }
        start_net = None
        if self.start is not None:
            begun = load_model(self.start)
            _check_start(begun.card, card, self.start)
            start_net, facts["started_from"] = begun.net, self.start.name
            identity["weights"] = begun.fingerprint
        return NetTraining(
            self.folder,
            self.training,
            net,
            card,
            fingerprint({**identity, "loss": loss_settings, "splits": learnt}),
            _source(shard_set, config, net, config.epoch_splits(learnt)),
            _source(shard_set, config, net, ["dev"], _DEV_BATCH),
            DistillationLoss(config, temperature),
            facts,
            start=start_net,
        )


def train_student(plan: StudentPlan) -> ModelCard:
    """Train a student into its model directory, or return the card of the one that is there.

    Raises:
        ShardError, ConfigError, ModelError: As :meth:`StudentPlan.prepared` does.
    """
    training = plan.prepared()
    return trained_before(training.folder, training.trained_as) or train_net(training)


def train_student_elsewhere(plan: StudentPlan) -> ModelCard:
    """Train a student as :func:`train_student` does, into a folder that somebody chose: nothing is replaced.

    Raises:
        ShardError, ConfigError, ModelError: As :meth:`StudentPlan.prepared` does.
        ConfigError: When something else than this student is there.
    """
    training = plan.prepared()
    card = trained_before(training.folder, training.trained_as)
    if card is None:
        _check_free(training.folder)
        card = train_net(training)
    return card


def train_students(plans: Sequence[StudentPlan]) -> list[ModelCard]:
    """Train the students that are not there yet side by side; return the cards of all.

    Raises:
        ShardError, ConfigError, ModelError: As :meth:`StudentPlan.prepared` does.
    """
    by_folder = {plan.folder: plan for plan in plans}

    def before(folder: Path) -> ModelCard | None:
        return trained_before(folder, by_folder[folder].prepared().trained_as)

    def train(folders: Sequence[Path]) -> Sequence[ModelCard]:
        new = [by_folder[folder] for folder in folders]
        jobs = nets_at_a_time(plan.net for plan in new)
        return run_side_by_side(train_student, [(plan,) for plan in new], jobs)

    return train_missing(by_folder, before, train)


def _check_free(folder: Path) -> None:
    """Raise unless a model directory can be put here without anything being lost."""
    if not folder.exists():
        return
    if not folder.is_dir():
        found = "a file"
    elif (folder / CARD_FILE).is_file():
        found = "a model that was trained otherwise"
    elif names := sorted(path.name for path in folder.iterdir()):
        found = f"a folder with {names[0]}" + (f" and {len(names) - 1} more" if names[1:] else "")
    elif folder.samefile(Path.cwd()):  # It would be replaced while a shell is in it.
        found = "the folder that this command was given in"
    else:
        return
    raise ConfigError(
        "a model directory put here would replace what is there",
        where=folder,
        expected="no such folder yet, an empty one, or this very student's",
        got=found,
        hint="name another folder, or move this away",
    )


def _check_start(begun: ModelCard, card: ModelCard, folder: Path) -> None:
    """Raise unless the weights to begin with read the student's features and tell its senones apart.

    Layers of the same shape are not enough: outputs of another tree, or inputs of another frontend, would
    train, and begin worse than random weights do.
    """
    facts = (
        ("other features", begun.frontend.fingerprint, card.frontend.fingerprint),
        (
            "another context window",
            [begun.window_left, begun.window_right],
            [card.window_left, card.window_right],
        ),
        ("another senone tree", begun.tree_fingerprint, card.tree_fingerprint),
    )
    for what, got, expected in facts:
        if got != expected:
            raise ConfigError(
                f"the net to start from has {what} than the shards",
                where=folder,
                expected=expected,
                got=got,
                hint="start from a net that was trained on the alignment and features of these shards",
            )


def _expected_fields(net: NetConfig) -> dict[str, object]:
    return {
        "frontend.name": net.features.name,
        "frontend.options": net.features.options,
        "cmvn": net.features.cmvn,
    }


def _source(
    shard_set: ShardSet,
    config: StudentConfig,
    net: NetConfig,
    splits: list[str],
    batch_size: int | None = None,
) -> ShardBatchSource:
    return ShardBatchSource(
        shard_set,
        splits,
        batch_size or net.train.batch_size,
        net.window.window(),
        pool_frames=config.pool_frames,
        seed=net.seed,
        rank=distributed.rank(),
        world_size=distributed.world_size(),
        temperature=config.temperature,
        as_logits=config.loss == "logit_matching",
        teachers=config.teachers,
        device=pool_device(shard_set, splits, config.pool_frames, net.train.torch_device()),
    )


def _new_card(header: ShardSetHeader, net: NetConfig) -> ModelCard:
    frontend = FrontendCard.model_validate(header.frontend)
    if frontend.dim != header.feature_dim:
        raise ShardError(
            "header field feature_dim is not the frontend's", expected=frontend.dim, got=header.feature_dim
        )
    return ModelCard(
        architecture=net.model,
        frontend=frontend,
        window_left=net.window.left,
        window_right=net.window.right,
        num_senones=header.num_senones,
        tree_fingerprint=header.tree,
        log_prior=np.log(np.asarray(header.prior)).tolist(),
    )
