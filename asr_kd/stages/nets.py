"""Train a net on hard labels: what teachers and baselines have in common."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from torch import nn

from asr_kd.am.checkpoint import CARD_FILE, ModelCard, read_card, save_model
from asr_kd.am.prior import log_prior
from asr_kd.am.registry import ArchitectureConfig
from asr_kd.data.block_source import StoreSource
from asr_kd.data.manifest import is_drawn
from asr_kd.data.windows import BatchSource, ContextWindow
from asr_kd.errors import StageError
from asr_kd.extraction import FeatureConfig, ViewConfig, view_name
from asr_kd.fingerprint import fingerprint
from asr_kd.progress import say
from asr_kd.stages.base import Settings, WorkDir
from asr_kd.stages.features import VIEWED_SPLIT
from asr_kd.stages.labels import label_fingerprint, read_hmm, read_pdf_counts
from asr_kd.train import distributed
from asr_kd.train.checkpoint import discard_checkpoints
from asr_kd.train.config import TrainConfig
from asr_kd.train.loop import FitResult, Loss, cross_entropy, fit

_DEV_BATCH = 2048
_POOL_FRAMES = 4_000_000


class WindowConfig(Settings):
    """Frames of context to the left and right of the classified one (the paper's: 20 and 5)."""

    left: int = Field(20, ge=0)
    right: int = Field(5, ge=0)

    def window(self) -> ContextWindow:
        """Return the context window."""
        return ContextWindow(self.left, self.right)


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
    """

    model: ArchitectureConfig = ArchitectureConfig()
    window: WindowConfig = WindowConfig()
    features: FeatureConfig = FeatureConfig()
    train: TrainConfig = TrainConfig()
    seed: int = 1
    data_share: float = Field(1.0, gt=0, le=1)
    data_seed: int | None = None
    views: ViewConfig | None = None


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
    trained_as = fingerprint({"net": config.model_dump(mode="json"), "labels": label_fingerprint(work)})
    return trained_before(work.models / name, trained_as) or train_net(
        work.models / name,
        work.training / name,
        config,
        new_card(work, config, search_path),
        trained_as,
        hard_source(work, config, "train", config.data_share),
        hard_source(work, config, "dev", 1.0),
    )


def trained_before(folder: Path, trained_as: str) -> ModelCard | None:
    """Return the card of a model directory with a net that was trained just so, or None."""
    if not (folder / CARD_FILE).is_file():
        return None
    card = read_card(folder)
    if card.provenance.get("trained_as") != trained_as:
        return None
    say(f"{folder.name}: trained before, skipped")
    return card


def train_net(
    folder: Path,
    training: Path,
    config: NetConfig,
    card: ModelCard,
    trained_as: str,
    train: BatchSource,
    dev: BatchSource,
    loss: Loss = cross_entropy,
    facts: Mapping[str, Any] | None = None,
    start: nn.Module | None = None,
) -> ModelCard:
    """Train a net into a model directory, and remove its checkpoints when it is there.

    Args:
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

    Returns:
        The card, with its training in ``provenance``.
    """
    torch.manual_seed(config.seed)
    net = card.build_net()
    if start is not None:
        # By their order: layers without weights, such as dropout, may differ, and with them the names.
        net.load_state_dict(dict(zip(net.state_dict(), start.state_dict().values(), strict=True)))
    checkpoints = training.with_name(f"{training.name}-{trained_as}")
    result = fit(net, train, dev, loss, config.train, checkpoints, seed=config.seed, name=folder.name)
    facts = {**_provenance(config, trained_as, result), **(facts or {})}
    card = card.model_copy(update={"provenance": facts})
    if distributed.is_first():
        save_model(folder, net, card)
        discard_checkpoints(checkpoints)
    return card


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


def hard_source(work: WorkDir, config: NetConfig, split: str, share: float) -> StoreSource:
    """Return batches of a split's frames with the alignment's pdf_ids; of train, with the net's views."""
    features = work.feature_store(config.features.key, split)
    alignment = work.alignment(split)
    seed = config.seed if config.data_seed is None else config.data_seed
    utt_ids = [utt_id for utt_id in features.utt_ids if utt_id in alignment and is_drawn(utt_id, share, seed)]
    if not utt_ids:
        raise StageError(
            f"no utterance of {split} is aligned", where=work.align, hint="look at align/failed.txt"
        )
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
