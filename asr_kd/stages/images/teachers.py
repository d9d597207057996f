"""Stage 2 of an image recipe: teachers learn from images that are moved about."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from asr_kd.am.checkpoint import ModelCard
from asr_kd.am.registry import ArchitectureConfig
from asr_kd.fingerprint import fingerprint
from asr_kd.stages.base import Settings, Stage, WorkDir
from asr_kd.stages.images.corpus import PIXELS, ImageCorpus
from asr_kd.stages.nets import (
    NetConfig,
    NetTraining,
    WindowConfig,
    discard_models,
    nets_at_a_time,
    train_net,
    trained_before,
)
from asr_kd.stages.teachers import spread, teacher_name
from asr_kd.train.config import TrainConfig
from asr_kd.train.parallel import run_side_by_side

_DEV_BATCH = 2048


class ImageTeachersConfig(Settings):
    """The teachers.

    Attributes:
        count: How many.
        seed: Of the first; the others count on from it.
        model: Their net.
        train: How they are trained.
        max_shift: Training images are moved by up to so many pixels in both directions.
    """

    count: int = Field(3, ge=1)
    seed: int = 1
    model: ArchitectureConfig = ArchitectureConfig()
    train: TrainConfig = TrainConfig()
    max_shift: int = Field(2, ge=0)

    def nets(self) -> dict[str, NetConfig]:
        """Return every teacher's settings by the name of its model directory."""
        return {
            teacher_name(index): image_net(self.model, self.train, self.seed + index)
            for index in range(self.count)
        }


def image_net(model: ArchitectureConfig, train: TrainConfig, seed: int) -> NetConfig:
    """Return the settings of a net that sees one image at a time."""
    window = WindowConfig(left=0, right=0)
    return NetConfig(model=model, window=window, features=PIXELS, train=train, seed=seed)


class ImageTeachersStage(Stage):
    """Trains every teacher into ``models/teacher-NN``."""

    name = "teachers"
    outputs_named_by = "nets"
    needs = ("prepare",)

    def __init__(self, config: ImageTeachersConfig) -> None:
        self.config = config

    def settings(self) -> dict[str, Any]:
        """Return every teacher's settings."""
        nets = {name: net.model_dump(mode="json") for name, net in self.config.nets().items()}
        return {"nets": nets, "max_shift": self.config.max_shift}

    def outputs(self, work: WorkDir) -> list[Path]:
        """Return the model directories."""
        return [work.models / name for name in self.config.nets()]

    def discard(self, work: WorkDir) -> None:
        """Remove the models with their checkpoints."""
        discard_models(work, self.config.nets())

    def run(self, work: WorkDir) -> dict[str, Any]:
        """Train what is not trained yet."""
        nets = self.config.nets()
        arguments = [(work, net, name, self.config.max_shift) for name, net in nets.items()]
        cards = run_side_by_side(train_on_images, arguments, nets_at_a_time(nets.values()))
        return {"dev accuracy": spread(cards)}


def train_on_images(work: WorkDir, net_config: NetConfig, name: str, max_shift: int) -> ModelCard:
    """Train a net on images and their classes into ``models/<name>``; skip it when it is there.

    Args:
        work: The work folder.
        net_config: The net.
        name: Of the model directory.
        max_shift: Of the training images, in pixels.
    """
    corpus = ImageCorpus.open(work)
    identity = {"net": net_config.model_dump(mode="json"), "max_shift": max_shift}
    trained_as = fingerprint({**identity, "corpus": corpus.fingerprint})
    train, seed = net_config.train, net_config.seed
    return trained_before(work.models / name, trained_as) or train_net(
        NetTraining(
            work.models / name,
            work.training / name,
            net_config,
            corpus.card(net_config.model),
            trained_as,
            corpus.source("train", train.batch_size, seed, max_shift),
            corpus.source("dev", _DEV_BATCH, seed),
        )
    )
