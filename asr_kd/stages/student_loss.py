"""What a student minimises: its settings, and the loss on batches of a posterior shard set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from asr_kd.data.windows import NO_LABEL, Batch
from asr_kd.distill.apart import shares
from asr_kd.distill.logit_matching import TEACHER_LOGITS, logit_matching_loss, require_logits
from asr_kd.distill.loss import LossTerms, distillation_loss
from asr_kd.distill.retemper import retempering_power
from asr_kd.distill.stored import StoredPosteriors
from asr_kd.distill.targets import soft_targets
from asr_kd.distill.wrong_frames import (
    FrameWeights,
    WrongFrames,
    drop_wrong,
    learn_labels_of_wrong,
    wrong_frames,
)
from asr_kd.errors import ConfigError
from asr_kd.fingerprint import unless
from asr_kd.stages.base import Settings
from asr_kd.stages.overrides import ModelChanges, TrainChanges
from asr_kd.train import distributed


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
    model: ModelChanges | None = None
    train: TrainChanges | None = None
    temperature: float | None = Field(None, gt=0)
    soft_weight: float = Field(1.0, ge=0)
    hard_weight: float = Field(0.5, ge=0)
    seed: int = Field(101, ge=0)
    count: int = Field(1, ge=1)
    start: Literal["random", "teacher"] = unless("random")
    pool_frames: int = Field(4_000_000, ge=1)
    wrong_frames: WrongFrames = unless("keep")
    passes: dict[Literal["train", "transfer"], Annotated[int, Field(ge=0)]] = unless({})
    teachers: int | tuple[int, ...] | None = unless(None)

    def settings(self) -> dict[str, Any]:
        """Return all but the nets, as JSON."""
        return self.model_dump(mode="json", exclude={"model", "train", "seed", "count"})

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
                hint="leave out those that are not there (audio without text is transfer)",
            )
        return chosen

    def require(self, stored: StoredPosteriors, where: str = "student") -> None:
        """Refuse targets that cannot be had from what will be stored, before anything is trained for it.

        Args:
            stored: What will be stored.
            where: Which student this is, for the message.

        Raises:
            ShardError: Naming the setting, with the reason.
        """
        if self.teachers is not None:
            shares(stored, self.teachers, f"{where}.teachers")
        temperature = self.temperature or stored.temperature
        retempering_power(stored, temperature, f"{where}.temperature", apart=self.teachers is not None)
        if self.loss == "logit_matching":
            require_logits(stored, f"{where}.loss")

    @model_validator(mode="after")
    def _check_loss(self) -> StudentConfig:
        if self.loss == "logit_matching" and (self.temperature, self.teachers) != (None, None):
            raise ValueError(
                "logit_matching takes the stored mean's logits; leave out temperature and teachers"
            )
        if not (self.soft_weight or self.hard_weight):
            raise ValueError("soft_weight and hard_weight are both 0, so that nothing would be learnt")
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
