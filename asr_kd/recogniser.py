"""A recogniser: one net or an averaged ensemble, a decoding graph, and the scales tuned for them."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor

from asr_kd.am.checkpoint import AcousticModel, FrontendCard, load_model
from asr_kd.am.prior import log_likelihoods
from asr_kd.atomic import atomic_dir, write_json
from asr_kd.data.frame_store import FrameStore
from asr_kd.data.manifest import Utterance
from asr_kd.decode.beam import DecodeConfig, Hypothesis
from asr_kd.decode.graph import load_graph
from asr_kd.decode.parallel import decode_all
from asr_kd.distill.ensemble import Averaging, ensemble_log_posteriors
from asr_kd.errors import ModelError
from asr_kd.extraction import FeatureConfig, extract_split
from asr_kd.frontend.base import Frontend
from asr_kd.score.word_classes import SCORE_WORDS_FILE

CARD_FILE = "recogniser.json"
GRAPH_FOLDER = "graph"
# Beside the graph lies what it was built from.
LM_FILE = "lm.arpa"
LEXICON_FILE = "lexicon.txt"
HMM_FILE = "hmm.json"
FORMAT_VERSION = 1


TeacherWeights = tuple[float, ...] | Literal["dev_accuracy"] | None
"""One weight a net, or each net's frame accuracy on dev, for the weighted mean; None for the others."""


class SystemCard(BaseModel):
    """Which nets make up a system, and how their posteriors are averaged."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    models: tuple[str, ...]
    averaging: Averaging = "arithmetic"
    weights: TeacherWeights = None


def _known_weights(card: SystemCard, models: Sequence[AcousticModel]) -> tuple[float, ...] | None:
    if card.weights != "dev_accuracy":
        return card.weights
    weights = []
    for name, model in zip(card.models, models, strict=True):
        accuracy = model.card.provenance.get("dev_frame_accuracy")
        if accuracy is None:
            raise ModelError("its card does not tell the accuracy on dev that is to weigh it", where=name)
        weights.append(float(accuracy))
    return tuple(weights)


class RecogniserCard(BaseModel):
    """What ``recogniser.json`` says; model directories and graph lie beside it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: int = FORMAT_VERSION
    system: SystemCard
    search: DecodeConfig


@dataclass(frozen=True)
class System:
    """Acoustic models whose posteriors are averaged at temperature 1; a single net is the case of one."""

    models: Sequence[AcousticModel]
    averaging: Averaging = "arithmetic"
    weights: Sequence[float] | None = None

    @classmethod
    def load(cls, card: SystemCard, folder: Path, device: str = "cpu") -> System:
        """Load the nets onto a device; their paths are relative to ``folder``.

        Raises:
            ModelError: When they were trained for different senone inventories, or one whose accuracy is to
                weigh it does not tell it.
        """
        models = [load_model(folder / name, device) for name in card.models]
        for name, model in zip(card.models, models, strict=True):
            if model.card.tree_fingerprint != models[0].card.tree_fingerprint:
                raise ModelError(
                    "the models have different senones",
                    where=name,
                    expected=models[0].card.tree_fingerprint,
                    got=model.card.tree_fingerprint,
                )
        return cls(models, card.averaging, _known_weights(card, models))

    @property
    def num_parameters(self) -> int:
        """Of all nets together."""
        return sum(model.num_parameters for model in self.models)

    def frontends(self) -> dict[str, FrontendCard]:
        """Return each distinct feature setting by its key."""
        return {feature_config(model).key: model.card.frontend for model in self.models}

    def load_frontends(self, search_path: Path | None) -> dict[str, tuple[FeatureConfig, Frontend]]:
        """Return each distinct feature setting and its frontend by its key.

        Raises:
            ModelError: When a frontend is not the one that the models were trained with.
        """
        loaded = {}
        for key, card in self.frontends().items():
            config = FeatureConfig.model_validate(card.model_dump(include={"name", "options", "cmvn"}))
            frontend = config.load(search_path)
            check_frontend_fits(card, config.card(frontend))
            loaded[key] = config, frontend
        return loaded

    def log_posteriors(
        self, features: Mapping[str, NDArray[np.float32]], rows: slice = slice(None)
    ) -> NDArray[np.float32]:
        """Return log p(s|x) ``[T, S]`` from an utterance's features ``[T, D]`` by feature key.

        Args:
            features: float32 ``[T, D]`` by feature key.
            rows: Which of the frames to classify; the others are context alone.
        """
        log_q, _ = self.posteriors_and_votes(features, rows)
        return log_q

    def posteriors_and_votes(
        self, features: Mapping[str, NDArray[np.float32]], rows: slice = slice(None)
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return what :meth:`log_posteriors` does, and the best senone of each net and frame ``[N, T]``."""
        votes: list[Tensor] = []

        def logits() -> Iterator[Tensor]:
            for model in self.models:
                each = model.logits(features[feature_config(model).key], rows)
                votes.append(each.argmax(1))
                yield each

        mean = ensemble_log_posteriors(logits(), 1.0, self.averaging, self.weights)
        return mean.cpu().numpy(), torch.stack(votes).cpu().numpy()

    def log_likelihoods(self, log_posteriors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return log p(x|s) ``[T, S]`` up to a constant of the frame, from log p(s|x)."""
        return log_likelihoods(log_posteriors, self.models[0].prior)


def feature_config(model: AcousticModel) -> FeatureConfig:
    """Return the feature settings that a model was trained with."""
    card = model.card.frontend
    return FeatureConfig.model_validate({"name": card.name, "options": card.options, "cmvn": card.cmvn})


@dataclass(frozen=True)
class Recogniser:
    """Turns audio into words.

    Attributes:
        system: The acoustic models.
        graph: Folder of the decoding graph.
        search: Scales and beam.
    """

    system: System
    graph: Path
    search: DecodeConfig

    @classmethod
    def load(cls, folder: Path) -> Recogniser:
        """Load a recogniser folder.

        Raises:
            ModelError: When the folder is none.
        """
        card = read_recogniser_card(folder)
        return cls(System.load(card.system, folder), folder / GRAPH_FOLDER, card.search)

    def vocabulary(self) -> tuple[str, ...]:
        """Return all words that it can find.

        Raises:
            GraphError: No whole graph is in its folder.
        """
        return load_graph(self.graph).vocabulary()

    def recognise(
        self,
        utterances: Sequence[Utterance],
        search_path: Path | None = None,
        num_processes: int = 1,
        in_turn: bool = False,
    ) -> Iterator[tuple[str, Hypothesis]]:
        """Recognise utterances, in order; any sampling rate, channel count and common format.

        Features are normalised over the speakers that the utterances name.

        Args:
            utterances: To recognise.
            search_path: Where a user's frontend lies.
            num_processes: That decode.
            in_turn: Read the audio of a speaker when it is that one's turn, for whom waits for the first
                words; else all is read before, so that damage is found before any has been recognised.
        """
        scores = self.log_likelihoods(utterances, search_path, in_turn)
        yield from decode_all(self.graph, scores, self.search, num_processes)

    def log_likelihoods(
        self, utterances: Sequence[Utterance], search_path: Path | None = None, in_turn: bool = False
    ) -> Iterator[tuple[str, NDArray[np.float32]]]:
        """Yield utt_id and log p(x|s) ``[T, S]`` of utterances, in order; see :meth:`recognise`."""
        frontends = self.system.load_frontends(search_path)
        for together in _whole_speakers(utterances) if in_turn else [utterances]:
            with tempfile.TemporaryDirectory() as temporary:
                stores = {}
                for key, (config, frontend) in frontends.items():
                    extract_split(together, frontend, config, Path(temporary) / key)
                    stores[key] = FrameStore(Path(temporary) / key)
                posteriors = posterior_stream(self.system, stores, [row.utt_id for row in together])
                for utt_id, log_p in posteriors:
                    yield utt_id, self.system.log_likelihoods(log_p)


def _whole_speakers(utterances: Sequence[Utterance]) -> Iterator[list[Utterance]]:
    """Yield the shortest runs of utterances of which no two have a speaker in common."""
    last = {utterance.speaker: place for place, utterance in enumerate(utterances)}
    run: list[Utterance] = []
    end = 0
    for place, utterance in enumerate(utterances):
        run.append(utterance)
        end = max(end, last[utterance.speaker])
        if place == end:
            yield run
            run = []


def check_frontend_fits(expected: FrontendCard, got: FrontendCard) -> None:
    """Refuse a frontend that is not the one that a model was trained with.

    Raises:
        ModelError: Naming both fingerprints.
    """
    if expected.fingerprint != got.fingerprint:
        raise ModelError(
            f"frontend {got.name} is not the one that the model was trained with",
            expected=f"fingerprint {expected.fingerprint}",
            got=got.fingerprint,
            hint="restore the frontend's code and options, or train again",
        )


def posterior_stream(
    system: System, stores: Mapping[str, FrameStore], utt_ids: Iterable[str]
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Yield each utterance's log posteriors ``[T, S]``, one utterance in memory at a time."""
    for utt_id in utt_ids:
        yield utt_id, system.log_posteriors({key: store.get(utt_id) for key, store in stores.items()})


def read_recogniser_card(folder: Path) -> RecogniserCard:
    """Read ``recogniser.json``.

    Raises:
        ModelError: When it is missing or malformed.
    """
    path = folder / CARD_FILE
    if not path.is_file():
        raise ModelError(
            "not a recogniser folder",
            where=folder,
            expected=CARD_FILE,
            hint="give a folder below WORK/recognisers, written by the decode stage",
        )
    try:
        return RecogniserCard.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (ValidationError, json.JSONDecodeError) as error:
        raise ModelError(f"malformed: {error}", where=path) from None


def save_recogniser(
    folder: Path,
    system: SystemCard,
    models: Path,
    graph: Path,
    search: DecodeConfig,
    score_words: Path | None = None,
) -> None:
    """Write a recogniser folder that can be moved: all that it takes is copied into it.

    Args:
        folder: Where to.
        system: Names of model directories below ``models``.
        models: Folder of the model directories.
        graph: Folder of the decoding graph.
        search: Scales and beam.
        score_words: File of the words as which others are scored, which need not exist.
    """
    with atomic_dir(folder) as temporary:
        for name in system.models:
            shutil.copytree(models / name, temporary / name, copy_function=_link_or_copy)
        shutil.copytree(graph, temporary / GRAPH_FOLDER, copy_function=_link_or_copy)
        if score_words is not None and score_words.is_file():
            shutil.copy2(score_words, temporary / SCORE_WORDS_FILE)
        card = RecogniserCard(system=system, search=search)
        write_json(temporary / CARD_FILE, card.model_dump(mode="json"))


def _link_or_copy(source: str, target: str) -> None:
    """Link a file that is never written again, so that ten teachers are not stored twice."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
