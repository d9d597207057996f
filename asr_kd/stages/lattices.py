"""A stage before training on whole sentences: the paths that compete in each training utterance."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field

from asr_kd.align.pool import worker_pool
from asr_kd.am.checkpoint import load_model
from asr_kd.atomic import atomic_dir
from asr_kd.data.frame_store import FrameStore, FrameStoreWriter
from asr_kd.decode.graph import DecodingGraph, GraphConfig, load_graph, stored_graph
from asr_kd.decode.state_lattice import STATE_ARC, StateLattice, state_lattice
from asr_kd.distill.sequence import state_scores
from asr_kd.distill.sequence_loss import Competitors
from asr_kd.errors import StageError
from asr_kd.fingerprint import fingerprint
from asr_kd.lang.lexicon import read_lexicon
from asr_kd.parent_process import end_with
from asr_kd.progress import track
from asr_kd.recogniser import SystemCard
from asr_kd.stages.acoustics import Acoustics, load_acoustics
from asr_kd.stages.base import Settings, Stage, WorkDir, require
from asr_kd.stages.labels import label_fingerprint, read_hmm
from asr_kd.stages.language_model import LanguageModelConfig, language_model
from asr_kd.train.parallel import usable_cores

LATTICE_SPLIT = "train"

_GRAPH = "graph"
_MOST_LOST = 0.1
_STORED_ARC = np.dtype([*STATE_ARC.descr, ("teacher", "<f4")])

Array = np.ndarray[Any, Any]


class LatticesConfig(Settings):
    """How the competitors of the training utterances are found.

    Attributes:
        acoustic_scale: Factor on the log-likelihoods, here and in the criterion.
        language_model: A weak one lets more words compete.
        silence_probability: Of silence between words.
        beam: Costs worse than the best by more than this are pruned at each frame.
        lattice_beam: Paths worse than the best by more than this are left out.
        num_processes: That search at a time; None takes one a core.
    """

    acoustic_scale: float = Field(0.1, gt=0)
    language_model: LanguageModelConfig = LanguageModelConfig(order=1)
    silence_probability: float = Field(0.5, ge=0, lt=1)
    beam: float = Field(10.0, gt=0)
    lattice_beam: float = Field(6.0, gt=0)
    num_processes: int | None = Field(None, ge=1)

    def identity(self) -> dict[str, Any]:
        """Return what the lattices depend on, as JSON."""
        settings = self.model_dump(mode="json", exclude={"num_processes", "language_model"})
        return {**settings, "language_model": self.language_model.identity()}


class LatticesStage(Stage):
    """Writes ``lattices/``: a graph, and every training utterance's state lattice with the ensemble's scores.

    Args:
        config: Search and language model.
        teacher: The ensemble.
    """

    name = "lattices"
    needs = ("features", "align", "teachers")

    def __init__(self, config: LatticesConfig, teacher: SystemCard) -> None:
        self.config = config
        self.teacher = teacher

    def settings(self) -> dict[str, Any]:
        """Return search, language model and teachers."""
        return {"lattices": self.config.identity(), "teacher": self.teacher.model_dump(mode="json")}

    def outputs(self, work: WorkDir) -> list[Path]:
        """Return the graph and the lattices."""
        return [work.lattices / _GRAPH, work.lattices / LATTICE_SPLIT]

    def run(self, work: WorkDir) -> dict[str, Any]:
        """Search every utterance, in processes of their own."""
        work.lattices.mkdir(exist_ok=True)
        self._build_graph(work)
        utt_ids = work.alignment(LATTICE_SPLIT).utt_ids
        num_arcs = num_frames = num_lost = 0
        with (
            atomic_dir(work.lattices / LATTICE_SPLIT) as folder,
            FrameStoreWriter(folder, _STORED_ARC, (), {"made_as": self._made_as(work)}) as writer,
            worker_pool(
                self.config.num_processes or usable_cores(),
                _worker,
                os.getpid(),
                work,
                self.config,
                self.teacher,
            ) as run,
        ):
            for utt_id, arcs in track(run(utt_ids), "lattices", len(utt_ids), "utterances"):
                if arcs is None:
                    num_lost += 1
                    continue
                writer.add(utt_id, arcs)
                num_arcs += len(arcs)
                num_frames += int(arcs["frame"].max()) + 1
        summary: dict[str, Any] = {"arcs/frame": f"{num_arcs / max(1, num_frames):.1f}"}
        if num_lost > _MOST_LOST * len(utt_ids):
            raise StageError(
                f"{num_lost:,} of {len(utt_ids):,} utterances have no path through their lattice",
                where=work.lattices,
                expected=f"{_MOST_LOST:.0%} at most",
                hint="raise sequence.lattices.beam",
            )
        if num_lost:
            summary["utterances without a path"] = f"{num_lost:,} of {len(utt_ids):,}"
        return summary

    def _build_graph(self, work: WorkDir) -> None:
        lexicon = read_lexicon(work.lexicon)
        model = language_model(self.config.language_model, work.lm_text, lexicon)
        config = GraphConfig(silence_probability=self.config.silence_probability)
        stored_graph(work.lattices / _GRAPH, lexicon, read_hmm(work), model, config)

    def _made_as(self, work: WorkDir) -> str:
        weights = [load_model(work.models / name).fingerprint for name in self.teacher.models]
        labels = label_fingerprint(work)
        return fingerprint({"settings": self.settings(), "weights": weights, "labels": labels})


class StoredLattices:
    """The lattices of a work folder.

    Args:
        work: Where the stage has run.

    Attributes:
        fingerprint: Of all that they depend on.
    """

    def __init__(self, work: WorkDir) -> None:
        self._store = FrameStore(require(work.lattices / LATTICE_SPLIT, LatticesStage.name))
        self.fingerprint = str(self._store.meta["made_as"])

    def competitors(self, utt_id: str) -> Competitors | None:
        """Return an utterance's paths, or None where the search found none."""
        if utt_id not in self._store:
            return None
        arcs = self._store.get(utt_id)
        return Competitors(StateLattice(arcs), arcs["teacher"])


def _worker(parent: int, work: WorkDir, config: LatticesConfig, teacher: SystemCard) -> _Worker:
    if parent != os.getpid():
        end_with(parent)
        torch.set_num_threads(1)
    acoustics = load_acoustics(teacher, work)
    graph = load_graph(work.lattices / _GRAPH)
    return _Worker(config, graph, acoustics, acoustics.stores(work, LATTICE_SPLIT))


@dataclass(frozen=True)
class _Worker:
    """Searches an utterance for the paths that compete in it."""

    config: LatticesConfig
    graph: DecodingGraph
    acoustics: Acoustics
    stores: Mapping[str, FrameStore]

    def __call__(self, utt_id: str) -> tuple[str, Array | None]:
        """Return the stored arcs, or None where no path survives the beam."""
        ((_, scores),) = self.acoustics.stream(self.stores, [utt_id])
        config = self.config
        lattice = state_lattice(
            self.graph, scores.log_likelihoods, config.acoustic_scale, config.beam, config.lattice_beam
        )
        if lattice is None:
            return utt_id, None
        stored = np.zeros(len(lattice.arcs), dtype=_STORED_ARC)
        for field in STATE_ARC.names or ():
            stored[field] = lattice.arcs[field]
        stored["teacher"] = state_scores(lattice, scores.log_likelihoods)
        return utt_id, stored
