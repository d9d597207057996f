"""Train a net on hard labels: what teachers and baselines have in common."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from pydantic import Field
from torch import nn

from asr_kd.am.checkpoint import CARD_FILE, ModelCard, read_card, save_model
from asr_kd.am.device import warn_of_emulation
from asr_kd.am.dnn import can_join
from asr_kd.am.prior import log_prior
from asr_kd.am.registry import ArchitectureConfig
from asr_kd.data.block_source import StoreSource
from asr_kd.data.folds import Folds
from asr_kd.data.manifest import is_drawn
from asr_kd.data.windows import BatchSource, ContextWindow
from asr_kd.errors import ConfigError, StageError
from asr_kd.extraction import FeatureConfig, ViewConfig, view_name
from asr_kd.fingerprint import fingerprint, unless
from asr_kd.progress import say
from asr_kd.stages.base import Settings, WorkDir
from asr_kd.stages.features import VIEWED_SPLIT
from asr_kd.stages.labels import label_fingerprint, read_hmm, read_pdf_counts
from asr_kd.train import distributed
from asr_kd.train.checkpoint import discard_checkpoints
from asr_kd.train.config import TrainConfig
from asr_kd.train.loop import FitResult, Loss, Trainer, cross_entropy
from asr_kd.train.together import fit_together

Name = TypeVar("Name")

_DEV_BATCH = 2048
_POOL_FRAMES = 4_000_000
_ALONE = "for train.together joins teachers of architecture dnn that differ in their seeds alone, on one rank"


class WindowConfig(Settings):
    """Frames of context to the left and right of the classified one (the paper's: 20 and 5)."""

    left: int = Field(20, ge=0)
    right: int = Field(5, ge=0)

    def window(self) -> ContextWindow:
        """Return the context window."""
        return ContextWindow(self.left, self.right)


class LeftOut(Settings):
    """The fold that a net does not learn: its number and the division that it is of."""

    fold: int
    folds: Folds


class NetConfig(Settings):
    """One net: its shape, its input, its training and its seed.

    Attributes:
        model: Which net.
        window: Its context.
        features: Its input.
        train: How it is trained.
        seed: Of initialisation, dropout and the order of frames.
        data_share: Share of the training utterances that it learns from.
        data_seed: Of their draw; None takes the net's own seed.
        views: Augmented views that it learns beside the originals; None for none.
        left_out: A fold of the training utterances that it does not learn; None learns all.
    """

    model: ArchitectureConfig = ArchitectureConfig()
    window: WindowConfig = WindowConfig()
    features: FeatureConfig = FeatureConfig()
    train: TrainConfig = TrainConfig()
    seed: int = 1
    data_share: float = Field(1.0, gt=0, le=1)
    data_seed: int | None = None
    views: ViewConfig | None = None
    left_out: LeftOut | None = unless(None)

    @property
    def draw(self) -> int | str:
        """What its share of the utterances is drawn with."""
        # Not the seed alone: corpus.transfer_share has one too, and what the same draw took is not left.
        return f"net {self.seed}" if self.data_seed is None else self.data_seed

    def has_shape_of(self, other: NetConfig) -> bool:
        """Return whether the nets have the same weights over the same input; dropout may differ."""
        return self._shape() == other._shape()

    def _shape(self) -> tuple[object, ...]:
        options = {name: value for name, value in self.model.options.items() if not name.endswith("dropout")}
        return self.window, self.features, self.model.name, options


def nets_at_a_time(nets: Iterable[NetConfig]) -> int | None:
    """Return the fewest that any of the nets asks for; None leaves it to the number of cores."""
    return min((net.train.num_processes for net in nets if net.train.num_processes), default=None)


def train_hard(work: WorkDir, config: NetConfig, name: str, search_path: Path | None) -> ModelCard:
    """Train a net on the alignment's labels into ``models/<name>``; skip it when it is there.

    Args:
        work: The work folder.
        config: The net.
        name: Of the model directory.
        search_path: The recipe's folder, where a user's frontend may lie.

    Returns:
        The model's card, with its training in ``provenance``.
    """
    if (card := trained_hard_before(work, config, name)) is None:
        (card,) = train_hard_together(work, {name: config}, search_path)
    return card


def train_hard_together(
    work: WorkDir, nets: Mapping[str, NetConfig], search_path: Path | None
) -> list[ModelCard]:
    """Train nets that differ in their seeds alone in step, as :func:`train_hard` does; skip none."""
    # By split, draw and fold: frames are in memory once.
    shared: dict[tuple[str, int | str | None, LeftOut | None], StoreSource] = {}

    def source(split: str, config: NetConfig, share: float) -> StoreSource:
        key = split, None if share == 1 else config.draw, config.left_out
        if key not in shared:
            shared[key] = hard_source(work, config, split, share)
        return shared[key].reseeded(config.seed)

    return train_nets(
        [
            NetTraining(
                work.models / name,
                work.training / name,
                config,
                new_card(work, config, search_path),
                _hard_trained_as(work, config),
                source("train", config, config.data_share),
                source("dev", config, 1.0),
            )
            for name, config in nets.items()
        ]
    )


def trained_hard_before(work: WorkDir, config: NetConfig, name: str) -> ModelCard | None:
    """Return the card of a net that :func:`train_hard` would skip, or None."""
    return trained_before(work.models / name, _hard_trained_as(work, config))


def _hard_trained_as(work: WorkDir, config: NetConfig) -> str:
    facts: dict[str, Any] = {"net": config.model_dump(mode="json"), "labels": label_fingerprint(work)}
    if ":" in config.features.name:
        # Its name does not say what a user's frontend computes.
        facts["frontend"] = work.feature_store(config.features.key, "train").meta["frontend"]["fingerprint"]
    if config.data_share < 1:
        facts["draw"] = config.draw
    return fingerprint(facts)


def trained_before(folder: Path, trained_as: str) -> ModelCard | None:
    """Return the card of a model directory with a net that was trained just so, or None."""
    if not (folder / CARD_FILE).is_file():
        return None
    card = read_card(folder)
    if card.provenance.get("trained_as") != trained_as:
        return None
    say(f"{folder.name}: trained before, skipped")
    return card


def train_missing(
    names: Iterable[Name],
    before: Callable[[Name], ModelCard | None],
    train: Callable[[Sequence[Name]], Sequence[ModelCard]],
) -> list[ModelCard]:
    """Train the nets that are not there yet, and return the cards of all.

    Those that are there are left out before the work is shared out, for how many are trained at a time
    depends on how many there are.

    Args:
        names: The nets'.
        before: Returns the card of a net that is there, or None.
        train: Trains nets and returns their cards in the same order.
    """
    found = {name: before(name) for name in names}
    missing = [name for name, card in found.items() if card is None]
    trained = dict(zip(missing, train(missing), strict=True))
    return [card or trained[name] for name, card in found.items()]


@dataclass(frozen=True)
class NetTraining:
    """A net that is to be trained into a model directory.

    Attributes:
        folder: The model directory.
        training: For checkpoints and logs; the fingerprint is added to its name.
        config: The net, its training and seed.
        card: Of the net before it is trained.
        trained_as: Fingerprint of all that the trained net depends on.
        train: Frames to learn.
        dev: Frames that choose the epoch.
        loss: What is minimised.
        facts: For the card's ``provenance``, beside those of the training.
        start: A net with the weights to begin with; None draws them.
    """

    folder: Path
    training: Path
    config: NetConfig
    card: ModelCard
    trained_as: str
    train: BatchSource
    dev: BatchSource
    loss: Loss = cross_entropy
    facts: Mapping[str, Any] = field(default_factory=dict)
    start: nn.Module | None = None

    @property
    def checkpoints(self) -> Path:
        """Where its checkpoints are while it lasts."""
        return self.training.with_name(f"{self.training.name}-{self.trained_as}")

    def trainer(self) -> Trainer:
        """Return the run, with the net as it is before the first step."""
        config = self.config
        torch.manual_seed(config.seed)
        net = self.card.build_net()
        if self.start is not None:
            _begin_with(net, self.start)
        name = self.folder.name
        return Trainer(
            net, self.train, self.dev, self.loss, config.train, self.checkpoints, config.seed, name
        )

    def keep(self, trainer: Trainer, result: FitResult) -> ModelCard:
        """Write the trained net, remove its checkpoints and return its card."""
        facts = {**_provenance(self.config, self.trained_as, result), **self.facts}
        card = self.card.model_copy(update={"provenance": facts})
        if distributed.is_first():
            save_model(self.folder, trainer.net, card)
            discard_checkpoints(self.checkpoints)
        return card


def _begin_with(net: nn.Module, start: nn.Module) -> None:
    """Give a net the weights of another one.

    Raises:
        ConfigError: When they have other shapes.
    """
    weights = list(start.state_dict().values())
    expected = [list(each.shape) for each in net.state_dict().values()]
    if (got := [list(each.shape) for each in weights]) != expected:
        raise ConfigError("the net to start from has other layers", expected=expected, got=got)
    # By their order: layers without weights, such as dropout, may differ, and with them the names.
    net.load_state_dict(dict(zip(net.state_dict(), weights, strict=True)))


def train_net(training: NetTraining) -> ModelCard:
    """Train a net; return its card, with its training in ``provenance``."""
    (card,) = train_nets([training])
    return card


def train_nets(trainings: Sequence[NetTraining]) -> list[ModelCard]:
    """Train nets, in step with each other where they are of one shape; return their cards."""
    if trainings:
        train = trainings[0].config.train
        warn_of_emulation(train.precision, train.torch_device(), "train.precision")
    trainers = [training.trainer() for training in trainings]
    if (
        len(trainers) > 1
        and distributed.world_size() == 1
        and can_join([trainer.net for trainer in trainers])
    ):
        results = fit_together(trainers)
    else:
        for training in trainings:
            if training.config.train.together:
                say(f"{training.folder.name}: trained by itself, {_ALONE}")
        results = [trainer.run() for trainer in trainers]
    return [
        training.keep(trainer, result)
        for training, trainer, result in zip(trainings, trainers, results, strict=True)
    ]


def discard_models(work: WorkDir, names: Iterable[str]) -> None:
    """Remove model directories and what is left of their training."""
    for name in names:
        for folder in (work.models / name, *work.training.glob(f"{name}-*")):
            shutil.rmtree(folder, ignore_errors=True)


def new_card(work: WorkDir, config: NetConfig, search_path: Path | None) -> ModelCard:
    """Return the card of a net that is about to be trained."""
    hmm = read_hmm(work)
    return ModelCard(
        architecture=config.model,
        frontend=config.features.card(config.features.load(search_path)),
        window_left=config.window.left,
        window_right=config.window.right,
        num_senones=hmm.num_pdfs,
        tree_fingerprint=hmm.tree.fingerprint,
        log_prior=log_prior(read_pdf_counts(work)).tolist(),
    )


def _provenance(config: NetConfig, trained_as: str, result: FitResult) -> dict[str, Any]:
    """Return how a net was trained."""
    return {
        "trained_as": trained_as,
        "seed": config.seed,
        "settings": config.model_dump(mode="json"),
        "best_epoch": result.best_epoch,
        "dev_frame_accuracy": result.dev_accuracy,
        "epochs": [row.model_dump() for row in result.epochs],
    }


def aligned_utterances(work: WorkDir, config: NetConfig, split: str, share: float) -> list[str]:
    """Return the utterances of a split that a net may learn: aligned, of its share, not of the fold left out.

    Raises:
        StageError: When there are none, saying which of these leaves none.
    """
    features = work.feature_store(config.features.key, split)
    alignment = work.alignment(split)
    left_out = config.left_out if split == "train" else None
    folds = left_out.folds.of_each(work.utterances(split)) if left_out else {}
    aligned = [utt_id for utt_id in features.utt_ids if utt_id in alignment]
    if not aligned:
        raise StageError(
            f"no utterance of {split} is aligned", where=work.align, hint="look at align/failed.txt"
        )
    drawn = [utt_id for utt_id in aligned if is_drawn(utt_id, share, config.draw)]
    if not drawn:
        raise StageError(
            f"no utterance of {split} is drawn, of {len(aligned):,} that are aligned",
            where="data_share",
            got=share,
            hint="give a larger share",
        )
    utt_ids = [utt_id for utt_id in drawn if not (left_out and folds[utt_id] == left_out.fold)]
    if not utt_ids:
        raise StageError(
            f"all {len(drawn):,} aligned utterances of {split} that are drawn are in the fold left out",
            where="teachers.folds",
            hint="give a larger data_share, or fewer folds",
        )
    return utt_ids


def hard_source(work: WorkDir, config: NetConfig, split: str, share: float) -> StoreSource:
    """Return batches of a split's frames with the alignment's pdf_ids; of train, with the net's views."""
    utt_ids = aligned_utterances(work, config, split, share)
    features = work.feature_store(config.features.key, split)
    alignment = work.alignment(split)
    views = config.views.numbers()[1:] if config.views and split == VIEWED_SPLIT else ()
    return StoreSource(
        features,
        {"pdf_ids": alignment},
        utt_ids,
        config.train.batch_size if split == "train" else _DEV_BATCH,
        config.window.window(),
        _POOL_FRAMES,
        config.seed,
        distributed.rank(),
        distributed.world_size(),
        [work.feature_store(config.features.key, split, view_name(view)) for view in views],
    )
