"""What gives the decoder its scores: nets whose posteriors are averaged, or the aligner's mixtures."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from asr_kd.align.gmm import DiagGmm
from asr_kd.align.spliced import SplicedTransform, mixture_features
from asr_kd.am.prior import log_prior
from asr_kd.data.frame_store import FrameStore
from asr_kd.recogniser import System, SystemCard
from asr_kd.stages.base import WorkDir
from asr_kd.stages.labels import GMM_FOLDER, TRANSFORM_FILE, read_pdf_counts


class FrameScores(NamedTuple):
    """Of one utterance's frames and all senones.

    Attributes:
        log_posteriors: log p(s|x) ``[T, S]``, up to a constant of the frame.
        log_likelihoods: log p(x|s) ``[T, S]``, up to a constant of the frame.
        votes: Best senone of each net ``[N, T]``; None where no nets score.
    """

    log_posteriors: NDArray[np.float32]
    log_likelihoods: NDArray[np.float32]
    votes: NDArray[np.int64] | None = None


class Acoustics(Protocol):
    """Scores frames; the features are read from their stores."""

    @property
    def num_parameters(self) -> int:
        """Of all that a frame passes through."""

    @property
    def num_senones(self) -> int:
        """Number S of senones."""

    def stores(self, work: WorkDir, split: str) -> dict[str, FrameStore]:
        """Return the stores of a split's features by their key."""

    def stream(
        self, stores: Mapping[str, FrameStore], utt_ids: Iterable[str]
    ) -> Iterator[tuple[str, FrameScores]]:
        """Yield each utterance's scores, one utterance in memory at a time."""


@dataclass(frozen=True)
class MixtureCard:
    """The aligner's mixtures as a system.

    Attributes:
        features_key: Of the aligner's features.
        delta_order: Of the deltas that are added to them.
    """

    features_key: str
    delta_order: int

    @property
    def models(self) -> tuple[str, ...]:
        """No model directories."""
        return ()


def load_acoustics(card: SystemCard | MixtureCard, work: WorkDir) -> Acoustics:
    """Load what a card names from a work folder."""
    if isinstance(card, SystemCard):
        return NetAcoustics(System.load(card, work.models))
    path = work.align / TRANSFORM_FILE
    transform = SplicedTransform.from_json(json.loads(path.read_text())) if path.is_file() else None
    gmm = DiagGmm.load(work.align / GMM_FOLDER)
    return MixtureAcoustics(gmm, log_prior(read_pdf_counts(work)), card, transform)


@dataclass(frozen=True)
class NetAcoustics:
    """One net, or several averaged."""

    system: System

    @property
    def num_parameters(self) -> int:
        """Of all nets."""
        return self.system.num_parameters

    @property
    def num_senones(self) -> int:
        """Width of the output layers."""
        return self.system.models[0].card.num_senones

    def stores(self, work: WorkDir, split: str) -> dict[str, FrameStore]:
        """Return the stores of every frontend's features."""
        return {key: work.feature_store(key, split) for key in self.system.frontends()}

    def stream(
        self, stores: Mapping[str, FrameStore], utt_ids: Iterable[str]
    ) -> Iterator[tuple[str, FrameScores]]:
        """Yield each utterance's scores."""
        for utt_id in utt_ids:
            features = {key: store.get(utt_id) for key, store in stores.items()}
            log_p, votes = self.system.posteriors_and_votes(features)
            yield utt_id, FrameScores(log_p, self.system.log_likelihoods(log_p), votes)


@dataclass(frozen=True)
class MixtureAcoustics:
    """Gaussian mixtures, whose own scores are likelihoods.

    Attributes:
        gmm: The mixtures.
        prior: log p(s) ``[S]`` of the training alignment.
        card: Of their features.
        transform: Takes the place of the deltas.
    """

    gmm: DiagGmm
    prior: NDArray[np.float32]
    card: MixtureCard
    transform: SplicedTransform | None = None

    @property
    def num_parameters(self) -> int:
        """Weight, mean and variance of every Gaussian."""
        return self.gmm.num_gaussians * (2 * self.gmm.dim + 1)

    @property
    def num_senones(self) -> int:
        """Number of mixtures."""
        return self.gmm.num_pdfs

    def stores(self, work: WorkDir, split: str) -> dict[str, FrameStore]:
        """Return the store of the aligner's features."""
        return {self.card.features_key: work.feature_store(self.card.features_key, split)}

    def stream(
        self, stores: Mapping[str, FrameStore], utt_ids: Iterable[str]
    ) -> Iterator[tuple[str, FrameScores]]:
        """Yield each utterance's scores."""
        store = stores[self.card.features_key]
        for utt_id in utt_ids:
            features = mixture_features(store.get(utt_id), self.card.delta_order, self.transform)
            log_likelihoods = self.gmm.log_likelihoods(features).astype(np.float32)
            yield utt_id, FrameScores(log_likelihoods + self.prior, log_likelihoods)
