"""Stage 7: the student learns from the posterior shards alone."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor

from asr_kd.am.checkpoint import FrontendCard, ModelCard, load_model
from asr_kd.data.windows import Batch
from asr_kd.distill.logit_matching import TEACHER_LOGITS, logit_matching_loss
from asr_kd.distill.loss import NO_LABEL, LossTerms, distillation_loss
from asr_kd.distill.shard_header import ShardSetHeader
from asr_kd.distill.shard_reader import ShardBatchSource
from asr_kd.distill.shard_set import ShardSet, open_shard_set
from asr_kd.distill.target_decoder import pool_device
from asr_kd.distill.targets import soft_targets
from asr_kd.distill.wrong_frames import (
    FrameWeights,
    WrongFrames,
    drop_wrong,
    learn_labels_of_wrong,
    wrong_frames,
)
from asr_kd.errors import ConfigError, ShardError
from asr_kd.fingerprint import fingerprint
from asr_kd.stages.base import Settings, Stage, WorkDir
from asr_kd.stages.labels import label_fingerprint, read_hmm
from asr_kd.stages.nets import (
    NetConfig,
    NetTraining,
    discard_models,
    nets_at_a_time,
    train_net,
    trained_before,
)
from asr_kd.stages.teachers import spread
from asr_kd.train import distributed
from asr_kd.train.parallel import run_side_by_side

LEARNT_SPLITS = ("train", "transfer")
"""Splits of the shards that a student learns from."""

_DEV_BATCH = 2048


class StudentConfig(Settings):
    """The student and its loss, ``soft_weight * T^2 * CE(q_T, p_T) + hard_weight * CE(y, p_1)``.

    Attributes:
        loss: Of the soft term: the cross entropy above, or in its place ``logit_matching``, the squared error
            of the logits, which is its limit for a high temperature.
        model: What its net has differently from the recipe's, such as fewer units.
        train: What it trains with differently from the recipe.
        temperature: T of teacher and student; None takes the shards'. Another one is refused where the
            shards' averaging or code do not allow it.
        soft_weight: Of the soft term.
        hard_weight: Of the hard term (the paper's 0.5 is relative to a soft term of weight 1).
        seed: Of the first student.
        count: How many seeds are trained.
        start: The weights to begin with: ``random`` ones, or those of a ``teacher``, which spares the student
            the way that the teacher went. Its seeds take the teachers that have its net, in turn.
        pool_frames: Most frames in memory at a time.
        wrong_frames: What it learns of labelled frames on which the ensemble is wrong: ``keep`` for its
            posteriors like everywhere, ``drop`` for nothing, ``hard`` for the label in their place.
        passes: How often an epoch goes over a split, by its name, and over the others once: in which
            proportion labelled and unlabelled audio are interleaved. ``{train: 3}`` shows the labelled audio
            three times as often; ``{transfer: 0}`` leaves the unlabelled out.
        teachers: Learn from the mean of the first N teachers, or of some by their numbers from 1; the shards
            must hold them apart (``ensemble.keep_apart``). None takes the stored mean of all.
    """

    loss: Literal["soft_cross_entropy", "logit_matching"] = "soft_cross_entropy"
    model: dict[str, Any] | None = None
    train: dict[str, Any] | None = None
    temperature: float | None = Field(None, gt=0)
    soft_weight: float = Field(1.0, ge=0)
    hard_weight: float = Field(0.5, ge=0)
    seed: int = 101
    count: int = Field(1, ge=1)
    start: Literal["random", "teacher"] = "random"
    pool_frames: int = Field(4_000_000, ge=1)
    wrong_frames: WrongFrames = "keep"
    passes: dict[Literal["train", "transfer"], Annotated[int, Field(ge=0)]] = {}
    teachers: int | tuple[int, ...] | None = None

    def settings(self) -> dict[str, Any]:
        """Return all but the nets, as JSON."""
        fields = self.model_dump(mode="json", exclude={"model", "train", "seed", "count"})
        # Students from before there were these stay as they are.
        unused: dict[str, Any] = {
            "teachers": None,
            "wrong_frames": "keep",
            "passes": {},
            "start": "random",
        }
        return {name: value for name, value in fields.items() if name not in unused or value != unused[name]}

    def loss_settings(self) -> dict[str, Any]:
        """Return what a trained student depends on, as JSON."""
        return {name: value for name, value in self.settings().items() if name != "pool_frames"}

    def epoch_splits(self, splits: Sequence[str]) -> list[str]:
        """Return the splits that an epoch goes over, each as often as it does.

        Raises:
            ConfigError: When ``passes`` names one that is not there, or leaves out all that are.
        """
        passes = {str(split): count for split, count in self.passes.items()}
        chosen = [split for split in splits for _ in range(passes.get(split, 1))]
        if not chosen or not set(passes) <= set(splits):
            raise ConfigError(
                "not the splits that there are to learn from",
                where="student.passes",
                expected=f"some of {', '.join(splits)} at least once",
                got=self.passes,
            )
        return chosen

    @model_validator(mode="after")
    def _check_loss(self) -> StudentConfig:
        if self.loss == "logit_matching" and (self.temperature, self.teachers) != (None, None):
            raise ValueError(
                "logit_matching takes the stored mean's logits; leave out temperature and teachers"
            )
        return self


# Operations whose backward pass does not read their result: a cast, a linear layer, the net as one function.
_RESULT_NOT_READ = ("ToCopyBackward0", "AddmmBackward0", "MmBackward0", "_DenseLogitsBackward")


def _may_overwrite(logits: Tensor) -> bool:
    """Return whether the gradient may be written over the logits: half the memory of a large output layer."""
    return logits.grad_fn is not None and logits.grad_fn.name() in _RESULT_NOT_READ


class DistillationLoss:
    """The loss of a :class:`StudentConfig` on batches of a posterior shard set."""

    def __init__(self, config: StudentConfig, temperature: float) -> None:
        self.config = config
        self.temperature = temperature

    def __call__(self, logits: Tensor, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Return the loss and its soft and hard terms."""
        pdf_ids = batch.targets["pdf_ids"]
        soft_share, hard_share = _shares(torch.ones_like(pdf_ids, dtype=torch.bool), pdf_ids != NO_LABEL)
        terms = self._terms(logits, batch, self._weights(batch, soft_share, hard_share))
        return terms.total, {"soft": terms.soft * soft_share, "hard": terms.hard * hard_share}

    def _weights(self, batch: Batch, soft_share: Share, hard_share: Share) -> FrameWeights:
        config = self.config
        hard = config.hard_weight and config.hard_weight * hard_share
        weights = FrameWeights(batch.targets["pdf_ids"], config.soft_weight * soft_share, hard)
        if config.wrong_frames == "keep":
            return weights
        wrong = wrong_frames(_likeliest(batch), weights.pdf_ids)
        if config.wrong_frames == "hard":
            return learn_labels_of_wrong(weights, wrong)
        soft_share, hard_share = _shares(~wrong, (weights.pdf_ids != NO_LABEL) & ~wrong)
        hard = config.hard_weight and config.hard_weight * hard_share
        return drop_wrong(FrameWeights(weights.pdf_ids, config.soft_weight * soft_share, hard), wrong)

    def _terms(self, logits: Tensor, batch: Batch, weights: FrameWeights) -> LossTerms:
        if self.config.loss == "logit_matching":
            return logit_matching_loss(logits, batch.targets[TEACHER_LOGITS], *weights)
        return distillation_loss(
            logits,
            soft_targets(batch.targets),
            weights.pdf_ids,
            self.temperature,
            weights.soft,
            weights.hard,
            overwrite_logits=_may_overwrite(logits),
        )


Share = float | Tensor


def _likeliest(batch: Batch) -> Tensor:
    """Return the ensemble's most probable senone of each frame ``[B]``."""
    if TEACHER_LOGITS in batch.targets:
        return batch.targets[TEACHER_LOGITS].argmax(1)
    return soft_targets(batch.targets).likeliest()


def _shares(soft: Tensor, hard: Tensor) -> tuple[Share, Share]:
    """Return this rank's share of the frames ``[B]`` of each term's mean; see ``distributed.share``."""
    if distributed.world_size() == 1:
        return 1.0, 1.0
    of_soft, of_hard = distributed.share(torch.stack([soft.sum(), hard.sum()])).unbind()
    return of_soft, of_hard


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

    def discard(self, work: WorkDir) -> None:
        """Remove the models with their checkpoints."""
        discard_models(work, self.nets)

    def run(self, work: WorkDir) -> dict[str, Any]:
        """Train what is not trained yet; the shards must be those of this work folder's alignment."""
        expected = {"tree": read_hmm(work).tree.fingerprint, "alignment": label_fingerprint(work)}
        starts = itertools.cycle([work.models / name for name in self.starts] or [None])
        arguments = [
            (
                work.shards,
                self.config,
                net,
                work.models / name,
                work.training / name,
                expected,
                LEARNT_SPLITS,
                start,
            )
            for (name, net), start in zip(self.nets.items(), starts, strict=False)
        ]
        cards = run_side_by_side(train_student, arguments, nets_at_a_time(self.nets.values()))
        return {"dev frame accuracy": spread(cards)}


def train_student(
    shards: str | Path,
    config: StudentConfig,
    net_config: NetConfig,
    folder: Path,
    training: Path,
    expected: Mapping[str, object] | None = None,
    splits: Sequence[str] = LEARNT_SPLITS,
    start: Path | None = None,
) -> ModelCard:
    """Train a student from a shard set into a model directory; nothing else is read but a net to start from.

    Args:
        shards: Folder or URL of the shard set.
        config: The loss.
        net_config: Net, training and seed; the shards must hold its features.
        folder: Where the model directory goes; one that was trained just so is kept.
        training: For checkpoints and logs.
        expected: Further header fields that the shards must have.
        splits: To learn from, as far as the shards have them.
        start: Model directory of a net of this shape, whose weights it begins with.

    Raises:
        ShardError: When the shards were made for something else, naming the field.
        ConfigError: When the net to start from is not given, has another shape, or other inputs and outputs.
        ModelError: When it is not there.
    """
    if config.start == "teacher" and start is None:
        raise ConfigError("no teacher to start from", where="student.start", hint="give --start MODEL")
    shard_set = open_shard_set(shards, {**_expected_fields(net_config), **(expected or {})})
    header = shard_set.header
    temperature = config.temperature or header.temperature
    card = _new_card(header, net_config)
    identity: dict[str, Any] = {
        "header": header.model_dump(mode="json"),
        "net": net_config.model_dump(mode="json"),
    }
    learnt = [split for split in splits if split in header.splits]
    loss_settings = config.loss_settings()
    facts: dict[str, Any] = {
        "loss": {**loss_settings, "temperature": temperature},
        "teachers": list(header.teachers),
    }
    start_net = None
    if start is not None:
        begun = load_model(start)
        _check_start(begun.card, card, start)
        start_net, facts["started_from"], identity["weights"] = begun.net, start.name, begun.fingerprint
    trained_as = fingerprint({**identity, "loss": loss_settings, "splits": learnt})
    return trained_before(folder, trained_as) or train_net(
        NetTraining(
            folder,
            training,
            net_config,
            card,
            trained_as,
            _source(shard_set, config, net_config, config.epoch_splits(learnt)),
            _source(shard_set, config, net_config, ["dev"], _DEV_BATCH),
            DistillationLoss(config, temperature),
            facts,
            start=start_net,
        )
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
