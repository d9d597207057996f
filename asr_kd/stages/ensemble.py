"""Stage 6: the teachers' averaged tempered posteriors go to a posterior shard set."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from pydantic import Field
from torch import Tensor

from asr_kd.am.prior import log_prior
from asr_kd.data.augment import plan_view
from asr_kd.data.frame_store import FrameStore
from asr_kd.data.manifest import Utterance, is_drawn, spread_evenly
from asr_kd.distill.ensemble import Averaging, ensemble_log_posteriors, tempered_log_posteriors
from asr_kd.distill.kept_code import Threshold
from asr_kd.distill.plan import Budget, choose, make_plan
from asr_kd.distill.shard_header import HEADER_FILE, ShardSetFacts
from asr_kd.distill.shard_writer import ShardSetWriter, begin_shard_set
from asr_kd.distill.sparse import CodeConfig, code_text
from asr_kd.extraction import ViewConfig, extract_split, view_name
from asr_kd.progress import say, track
from asr_kd.recogniser import System, SystemCard, feature_config
from asr_kd.stages.base import Settings, Stage, WorkDir
from asr_kd.stages.labels import label_fingerprint, read_hmm, read_pdf_counts
from asr_kd.stages.nets import NetConfig
from asr_kd.stages.teachers import teacher_name

SHARD_SPLITS = ("train", "transfer", "dev")
"""Splits that are labelled: the student learns from the first two and is watched on the last."""


TRANSFER_SEED = 0
"""Of the draw of a share of the training utterances."""

VIEWED_SPLITS = ("train", "transfer")
"""Splits that the student learns from: they alone have augmented views."""


class EnsembleConfig(Settings):
    """How the teachers are averaged and how their posteriors are stored.

    Attributes:
        averaging: Arithmetic, geometric or weighted mean of the posteriors.
        weights: One a teacher, for the weighted mean.
        temperature: T of the stored posteriors (Hinton, Vinyals & Dean report 2 as best for speech).
        code: Of the stored posteriors.
        budget: Bounds of size or error; within them a plan over a sample picks the code instead of ``code``.
        shard_frames: A shard is full once it has as many frames.
        data_share: Share of the training utterances that the student learns from.
        keep_apart: Store each teacher's posteriors beside their mean, so that students may learn from some of
            them (``student.teachers``) and ``asr-kd shards teachers`` can draw the gain against their number.
        order_seed: Of the random order in which a split's utterances are written, so that frames of many
            utterances and speakers are read together; None writes them in the corpus's order.
    """

    averaging: Averaging = "arithmetic"
    weights: tuple[float, ...] | None = None
    temperature: float = Field(2.0, gt=0)
    code: CodeConfig = Threshold(least=0.001, k=96)
    budget: Budget | None = None
    shard_frames: int = Field(100_000, ge=1)
    data_share: float = Field(1.0, gt=0, le=1)
    keep_apart: bool = False
    order_seed: int | None = 0

    def system(self, num_teachers: int) -> SystemCard:
        """Return the ensemble as a system to decode with."""
        models = tuple(teacher_name(index) for index in range(num_teachers))
        return SystemCard(models=models, averaging=self.averaging, weights=self.weights)


class EnsembleStage(Stage):
    """Writes ``shards/``.

    Args:
        config: Averaging, temperature and code.
        num_teachers: How many teachers there are.
        student: The net that will learn from the shards: its features are stored.
        views: Augmented copies; the teachers label exactly what the student sees.
        search_path: The recipe's folder, where a user's frontend may lie.
    """

    name = "ensemble"
    needs = ("features", "align", "teachers")

    def __init__(
        self,
        config: EnsembleConfig,
        num_teachers: int,
        student: NetConfig,
        views: ViewConfig,
        search_path: Path | None,
    ) -> None:
        self.config = config
        self.num_teachers = num_teachers
        self.student = student
        self.views = views
        self.search_path = search_path

    def settings(self) -> dict[str, Any]:
        """Return the averaging and the stored features."""
        settings = {
            "ensemble": self.config.model_dump(mode="json"),
            "num_teachers": self.num_teachers,
            "student_features": self.student.features.model_dump(mode="json"),
            "window": self.student.window.model_dump(mode="json"),
        }
        if self.views.count:
            settings["views"] = self.views.model_dump(mode="json")
        return settings

    def outputs(self, work: WorkDir) -> list[Path]:
        """Return the header, which is written last."""
        return [work.shards / HEADER_FILE]

    def discard(self, work: WorkDir) -> None:
        """Remove the shards with the header."""
        shutil.rmtree(work.shards, ignore_errors=True)

    def run(self, work: WorkDir) -> dict[str, Any]:
        """Label every frame; shards that are finished are not written again."""
        device = str(self.student.train.torch_device())
        system = System.load(self.config.system(self.num_teachers), work.models, device)
        facts = self._facts(work, system, self._code(work, system))
        with begin_shard_set(work.shards, facts, self.config.shard_frames) as writer:
            for split in SHARD_SPLITS:
                if split in work.splits():
                    for view in self.views.numbers() if split in VIEWED_SPLITS else (0,):
                        self._write_split(work, system, writer, split, view)
        header = writer.finish()
        sizes = header.bytes_per_frame()
        return {
            "frames": f"{header.num_frames(tuple(header.splits)):,}",
            "bytes/frame": f"{sizes['targets']:.1f} targets, {sizes['total']:.1f} in all",
        }

    def _code(self, work: WorkDir, system: System) -> CodeConfig:
        if self.config.budget is None:
            return self.config.code
        estimates = make_plan(sample_posteriors(work, system, self.config))
        chosen = choose(estimates, self.config.budget)
        say(f"code within the budget: {code_text(chosen.config)}, {chosen.bytes_per_frame:.1f} bytes/frame")
        return chosen.config

    def _facts(self, work: WorkDir, system: System, code: CodeConfig) -> ShardSetFacts:
        hmm = read_hmm(work)
        frontend = FrameStore(work.features(self.student.features.key, "train")).meta["frontend"]
        return ShardSetFacts(
            averaging=self.config.averaging,
            weights=self.config.weights,
            temperature=self.config.temperature,
            code=code,
            teachers=tuple(model.fingerprint for model in system.models),
            frontend=frontend,
            cmvn=frontend["cmvn"],
            feature_dim=frontend["dim"],
            frame_shift=frontend["frame_shift"],
            alignment=label_fingerprint(work),
            tree=hmm.tree.fingerprint,
            num_senones=hmm.num_pdfs,
            prior=tuple(np.exp(log_prior(read_pdf_counts(work)).astype(np.float64)).tolist()),
            window=self.student.window.model_dump(),
            views=tuple(view_name(view) for view in self.views.numbers()),
            augmentation=self.views.augment.fingerprint if self.views.count else "",
            hmm=hmm.to_json(),
            keep_apart=self.config.keep_apart,
            order_seed=self.config.order_seed,
        )

    def _write_split(
        self, work: WorkDir, system: System, writer: ShardSetWriter, split: str, view: int
    ) -> None:
        with self._features(work, system, split, view) as stores:
            self._label(work, system, writer, split, view, stores)

    def _utterances(self, work: WorkDir, split: str) -> list[Utterance]:
        share = self.config.data_share if split == "train" else 1.0
        return [row for row in work.utterances(split) if is_drawn(row.utt_id, share, TRANSFER_SEED)]

    @contextmanager
    def _features(
        self, work: WorkDir, system: System, split: str, view: int
    ) -> Iterator[dict[str, FrameStore]]:
        """Yield the features of teachers and student by key; those of a view are made for the time."""
        configs = {config.key: config for config in map(feature_config, system.models)}
        configs[self.student.features.key] = self.student.features
        if view == 0:
            yield {key: work.feature_store(key, split) for key in configs}
            return
        with TemporaryDirectory(dir=work.root, prefix=".views-") as temporary:
            for key, config in configs.items():
                frontend = config.load(self.search_path)
                folder = Path(temporary) / key
                utterances = self._utterances(work, split)
                extract_split(utterances, frontend, config, folder, view, self.views.augment)
            yield {key: FrameStore(Path(temporary) / key) for key in configs}

    def _label(
        self,
        work: WorkDir,
        system: System,
        writer: ShardSetWriter,
        split: str,
        view: int,
        stores: dict[str, FrameStore],
    ) -> None:
        name = view_name(view)
        stored = stores[self.student.features.key]
        alignment = work.alignment(split) if (work.align / split).is_dir() else None
        wanted = [utterance.utt_id for utterance in self._utterances(work, split)]
        utt_ids = writing_order(wanted, self.config.order_seed, split, name)
        for utt_id in track(utt_ids, f"ensemble {split} {name}".strip(), len(utt_ids), "utterances"):
            if writer.is_written(split, utt_id, name):
                continue
            apart: list[bytes] = []
            log_q = tempered_posteriors(
                system, stores, utt_id, self.config, self._keeper(writer, utt_id, name, apart)
            )
            # Audio without a transcript, that failed to align or whose speed was changed: soft targets alone.
            labelled = alignment is not None and utt_id in alignment
            fits = plan_view(utt_id, view, self.views.augment).keeps_frames
            labels = np.array(alignment.get(utt_id)) if alignment and labelled and fits else None
            writer.add(split, utt_id, np.array(stored.get(utt_id)), labels, log_q, name, apart)

    def _keeper(
        self, writer: ShardSetWriter, utt_id: str, view: str, apart: list[bytes]
    ) -> Callable[[Tensor], None] | None:
        """Return what is done with each teacher's logits: encoded, when the teachers are kept apart."""
        if not self.config.keep_apart:
            return None

        def keep(logits: Tensor) -> None:
            log_q = tempered_log_posteriors(logits, self.config.temperature)
            apart.append(writer.encode_teacher(len(apart), utt_id, log_q, view))

        return keep


def writing_order(utt_ids: Sequence[str], seed: int | None, split: str, view: str) -> list[str]:
    """Return utterances in a random order that depends on nothing but these arguments; None: as they come."""
    if seed is None:
        return list(utt_ids)
    return sorted(utt_ids, key=lambda utt_id: sha256(f"{seed} {split} {view} {utt_id}".encode()).digest())


def tempered_posteriors(
    system: System,
    inputs: Mapping[str, FrameStore],
    utt_id: str,
    config: EnsembleConfig,
    keep: Callable[[Tensor], None] | None = None,
) -> Tensor:
    """Return the log of the teachers' averaged tempered posteriors of an utterance ``[T, S]``.

    Args:
        system: The teachers.
        inputs: Features by their key.
        utt_id: The utterance.
        config: Temperature and averaging.
        keep: Is given each teacher's logits ``[T, S]``.
    """

    def each_logits() -> Iterator[Tensor]:
        for model in system.models:
            logits = model.logits(inputs[feature_config(model).key].get(utt_id))
            if keep is not None:
                keep(logits)
            yield logits

    return ensemble_log_posteriors(each_logits(), config.temperature, config.averaging, config.weights)


def sample_posteriors(
    work: WorkDir, system: System, config: EnsembleConfig, num_utterances: int = 40
) -> list[tuple[str, Tensor]]:
    """Label some training utterances, spread evenly, to plan with."""
    inputs = {key: work.feature_store(key, "train") for key in system.frontends()}
    rows = spread_evenly(work.utterances("train"), num_utterances)
    utt_ids = [row.utt_id for row in rows]
    return [
        (utt_id, tempered_posteriors(system, inputs, utt_id, config))
        for utt_id in track(utt_ids, "labelling a sample", len(utt_ids), "utterances")
    ]
