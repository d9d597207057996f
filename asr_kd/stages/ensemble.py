"""Stage 6: the teachers' averaged tempered posteriors go to a posterior shard set."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field, field_validator, model_validator

from asr_kd.am.device import Precision, WantedPrecision, usable_precision, warn_of_emulation
from asr_kd.am.prior import log_prior
from asr_kd.atomic import temporary_dir
from asr_kd.data.augment import view_labels
from asr_kd.data.folds import Folds
from asr_kd.data.frame_store import FrameStore
from asr_kd.data.manifest import LEARNT_SPLITS, Utterance, is_drawn
from asr_kd.distill.ensemble import Averaging
from asr_kd.distill.kept_code import Threshold
from asr_kd.distill.labelling import LabelTarget
from asr_kd.distill.plan import Budget, choose, make_plan
from asr_kd.distill.shard_header import HEADER_FILE, ShardSetFacts
from asr_kd.distill.shard_writer import ShardSetWriter, begin_shard_set
from asr_kd.distill.sparse import CodeConfig, code_text
from asr_kd.distill.stored import StoredPosteriors
from asr_kd.errors import ConfigError
from asr_kd.extraction import FeatureConfig, ViewConfig, extract_split, num_view_frames, view_name
from asr_kd.fingerprint import fingerprint, unless
from asr_kd.progress import say
from asr_kd.recogniser import System, SystemCard, TeacherWeights, feature_config
from asr_kd.stages.base import Settings, Stage, WorkDir
from asr_kd.stages.features import VIEWED_SPLIT
from asr_kd.stages.labelling import LabellerArguments, default_processes, labelling
from asr_kd.stages.labels import label_fingerprint, read_hmm, read_pdf_counts
from asr_kd.stages.nets import NetConfig
from asr_kd.stages.posterior_sample import sample_posteriors
from asr_kd.stages.teachers import teacher_name
from asr_kd.stages.view_labelling import Label, ViewLabelling

SHARD_SPLITS = (*LEARNT_SPLITS, "dev")
"""Splits that are labelled: the student learns from the first two and is watched on the last."""

DATA_SHARE_SEED = 0
"""Of the draw of a share of the training utterances."""


SetName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]


class FurtherSet(Settings):
    """Another shard set of the same forward pass.

    Attributes:
        temperature: T of its posteriors.
        code: Of its posteriors.
    """

    temperature: float = Field(2.0, gt=0)
    code: CodeConfig = Threshold(least=0.001, k=96)


class EnsembleConfig(Settings):
    """How the teachers are averaged and how their posteriors are stored.

    Attributes:
        averaging: Arithmetic, geometric or weighted mean of the posteriors.
        weights: For the weighted mean: one a teacher, or ``dev_accuracy``, their frame accuracy on dev.
        temperature: T of the stored posteriors (Hinton, Vinyals & Dean report 2 as best for speech).
        code: Of the stored posteriors.
        budget: Bounds of size or error; within them a plan over a sample picks the code instead of ``code``.
        shard_frames: A shard is full once it has as many frames.
        data_share: Share of the training utterances that the student learns from.
        keep_apart: Store each teacher's posteriors beside their mean, so that students may learn from some of
            them (``student.teachers``) and ``asr-kd shards teachers`` can draw the gain against their number.
        order_seed: Of the random order in which a split's utterances are written, so that frames of many
            utterances and speakers are read together; None writes them in the corpus's order.
        precision: Of the teachers' matrix products and logits; ``bf16`` is faster on processors that have it,
            and changes the posteriors a little; ``auto`` takes it there alone.
        further: More shard sets by name, in ``shards-NAME/``, at other temperatures or in other codes; the
            nets run once for all of them.
        num_processes: That label, or pack what a GPU has chosen; None: one a core, at most 8 with a GPU.
    """

    averaging: Averaging = "arithmetic"
    weights: TeacherWeights = None
    temperature: float = Field(2.0, gt=0)
    code: CodeConfig = Threshold(least=0.001, k=96)
    budget: Budget | None = None
    shard_frames: int = Field(100_000, ge=1)
    data_share: float = Field(1.0, gt=0, le=1)
    keep_apart: bool = False
    order_seed: int | None = 0
    precision: WantedPrecision = unless("fp32")
    further: dict[SetName, FurtherSet] = unless({})
    num_processes: int | None = Field(None, ge=1)

    @field_validator("weights", mode="before")
    @classmethod
    def _check_weights(cls, weights: Any) -> Any:
        if isinstance(weights, str) and weights != "dev_accuracy":
            raise ValueError("weights are one number a teacher, or dev_accuracy")
        return weights

    @model_validator(mode="after")
    def _check_averaging(self) -> EnsembleConfig:
        if (self.averaging == "weighted") != (self.weights is not None):
            raise ValueError("averaging weighted takes weights, and no other averaging does")
        return self

    def system(self, num_teachers: int) -> SystemCard:
        """Return the ensemble as a system to decode with."""
        models = tuple(teacher_name(index) for index in range(num_teachers))
        return SystemCard(models=models, averaging=self.averaging, weights=self.weights)

    def stored(self, num_teachers: int) -> StoredPosteriors:
        """Return what will be stored of so many teachers, as far as it is known before there are any."""
        return StoredPosteriors(
            self.averaging,
            self.weights if isinstance(self.weights, tuple) else None,
            num_teachers,
            self.temperature,
            self.code if self.budget is None else None,
            self.keep_apart,
        )


class EnsembleStage(Stage):
    """Writes ``shards/``.

    Args:
        config: Averaging, temperature and code.
        num_teachers: How many teachers there are.
        student: The net that will learn from the shards: its features are stored.
        views: Augmented copies; the teachers label exactly what the student sees.
        search_path: The recipe's folder, where a user's frontend may lie.
        folds: Which the teachers left out in turn; an utterance is labelled by those that left it out.
    """

    name = "ensemble"
    needs = ("features", "align", "teachers")
    outputs_named_by = "ensemble.further"

    def __init__(
        self,
        config: EnsembleConfig,
        num_teachers: int,
        student: NetConfig,
        views: ViewConfig,
        search_path: Path | None,
        folds: Folds | None = None,
    ) -> None:
        self.config = config
        self.folds = folds
        self.num_teachers = num_teachers
        self.student = student
        self.views = views
        self.search_path = search_path

    def settings(self) -> dict[str, Any]:
        """Return the averaging and the stored features."""
        settings = {
            "ensemble": self.config.model_dump(mode="json", exclude={"num_processes"}),
            "num_teachers": self.num_teachers,
            "student_features": self.student.features.model_dump(mode="json"),
            "window": self.student.window.model_dump(mode="json"),
        }
        if self.views.count:
            settings["views"] = self.views.model_dump(mode="json")
        if self.folds is not None:
            settings["folds"] = self.folds.model_dump(mode="json")
        return settings

    def outputs(self, work: WorkDir) -> list[Path]:
        """Return the headers, which are written last."""
        return [folder / HEADER_FILE for folder in self._folders(work)]

    def _folders(self, work: WorkDir) -> list[Path]:
        return [work.shards, *(work.further_shards(name) for name in self.config.further)]

    def check_corpus(self, work: WorkDir) -> None:
        """Refuse a share of the training utterances that leaves a student nothing to learn."""
        share = self.config.data_share
        if share == 1:
            return
        if not any(self._utterances(work, split) for split in LEARNT_SPLITS if split in work.splits()):
            raise ConfigError(
                f"no utterance of train is drawn, of {len(work.utterances('train')):,}",
                where="ensemble.data_share",
                got=share,
                hint="give a larger share",
            )

    def discard(self, work: WorkDir) -> None:
        """Remove the shards with the headers."""
        for folder in self._folders(work):
            shutil.rmtree(folder, ignore_errors=True)

    def run(self, work: WorkDir) -> dict[str, Any]:
        """Label every frame; shards that are finished are not written again."""
        device = self.student.train.torch_device()
        warn_of_emulation(self.config.precision, device, "ensemble.precision")
        precision = usable_precision(self.config.precision, device)
        card = self.config.system(self.num_teachers)
        system = System.load(card, work.models, str(device))
        code = self._code(work, system)
        facts = self._facts(work, system, code, precision)
        configs = {config.key: config for config in map(feature_config, system.models)}
        configs[self.student.features.key] = self.student.features
        del system  # The nets are loaded where they label.
        targets = self._targets(code)
        all_facts = [
            facts.model_copy(update={"temperature": target.temperature, "code": target.code})
            for target in targets
        ]
        arguments = LabellerArguments(work.models, card, str(device), targets, precision)
        num_processes = self.config.num_processes or default_processes(str(device))
        with ExitStack() as stack:
            writers = [
                stack.enter_context(begin_shard_set(folder, each, self.config.shard_frames))
                for folder, each in zip(self._folders(work), all_facts, strict=True)
            ]
            label = stack.enter_context(labelling(arguments, num_processes))
            for split in self._splits(work):
                for view, utt_ids in self._with_frames(work, split, facts.frame_shift).items():
                    self._label_view(work, label, writers, configs, split, view, utt_ids)
        headers = [writer.finish() for writer in writers]
        header = headers[0]
        sizes = header.bytes_per_frame()
        return {
            "frames": f"{header.num_frames(tuple(header.splits)):,}",
            "bytes/frame": f"{sizes['targets']:.1f} targets, {sizes['total']:.1f} in all",
        }

    def _targets(self, code: CodeConfig) -> tuple[LabelTarget, ...]:
        """Return what is stored in the shard set and in the further ones."""
        config = self.config
        return (
            LabelTarget(config.temperature, code, config.keep_apart),
            *(
                LabelTarget(each.temperature, each.code, config.keep_apart)
                for each in config.further.values()
            ),
        )

    def _code(self, work: WorkDir, system: System) -> CodeConfig:
        if self.config.budget is None:
            return self.config.code
        sample = sample_posteriors(
            work, system, self.config.temperature, self.config.averaging, system.weights
        )
        estimates = make_plan(sample)
        chosen = choose(estimates, self.config.budget)
        say(f"code within the budget: {code_text(chosen.config)}, {chosen.bytes_per_frame:.1f} bytes/frame")
        return chosen.config

    def _facts(self, work: WorkDir, system: System, code: CodeConfig, precision: Precision) -> ShardSetFacts:
        hmm = read_hmm(work)
        frontend = FrameStore(work.features(self.student.features.key, "train")).meta["frontend"]
        return ShardSetFacts(
            averaging=self.config.averaging,
            weights=None if system.weights is None else tuple(system.weights),
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
            precision=precision,
            folds=self.folds,
            utterances=self._drawn(work),
        )

    def _drawn(self, work: WorkDir) -> str:
        """Return a fingerprint of the training utterances where they are a share; shards of all lack it."""
        if self.config.data_share == 1:
            return ""
        return fingerprint([row.utt_id for row in self._utterances(work, "train")])

    def _splits(self, work: WorkDir) -> list[str]:
        return [split for split in SHARD_SPLITS if split in work.splits()]

    def _utterances(self, work: WorkDir, split: str) -> list[Utterance]:
        share = self.config.data_share if split == "train" else 1.0
        return [row for row in work.utterances(split) if is_drawn(row.utt_id, share, DATA_SHARE_SEED)]

    def num_frames(self, work: WorkDir, frame_shift: float) -> int:
        """Return how many frames of all splits and views are labelled, by their length in the manifests."""
        return sum(
            num_view_frames(row, view, self.views.augment, frame_shift)
            for split in self._splits(work)
            for row in self._utterances(work, split)
            for view in self._views(split)
        )

    def _views(self, split: str) -> Sequence[int]:
        return self.views.numbers() if split in LEARNT_SPLITS else range(1)

    def _with_frames(self, work: WorkDir, split: str, frame_shift: float) -> dict[int, list[str]]:
        """Return by number of the view the utterances of which it has a frame, and say how many are left out.

        A recording shorter than half a frame shift has none, and nothing that could be learnt.
        """
        rows = self._utterances(work, split)
        views = self._views(split)
        augmentation = self.views.augment
        found = {
            view: [row.utt_id for row in rows if num_view_frames(row, view, augmentation, frame_shift)]
            for view in views
        }
        num_all = len(rows) * len(views)
        if num_left_out := num_all - sum(map(len, found.values())):
            what = "utterances" if len(views) == 1 else "views of utterances"
            say(f"ensemble {split}: left out {num_left_out:,} of {num_all:,} {what} that have no frame")
        return found

    def _members(self, work: WorkDir, split: str) -> dict[str, tuple[int, ...]] | None:
        """Return by utt_id the teachers that label an utterance; None where all do."""
        if self.folds is None or split != "train":
            return None
        folds = self.folds.of_each(work.utterances(split))
        return {utt_id: self.folds.labellers(fold, self.num_teachers) for utt_id, fold in folds.items()}

    @contextmanager
    def _features(
        self, work: WorkDir, configs: Mapping[str, FeatureConfig], split: str, view: int
    ) -> Iterator[dict[str, Path]]:
        """Yield the features of teachers and student by key; those of a view that is not kept are made."""
        name = view_name(view)
        if view == 0 or (split == VIEWED_SPLIT and view <= self.views.hard):
            yield {key: work.features(key, split, name) for key in configs}
            return
        # Speakers are normalised over all that they say, as in the features that are kept.
        utterances = work.normalised_with(split)
        drawn = {row.utt_id for row in self._utterances(work, split)}
        with temporary_dir(work.root / "views") as folder:
            for key, config in configs.items():
                frontend = config.load(self.search_path)
                extract_split(utterances, frontend, config, folder / key, view, self.views.augment, drawn)
            yield {key: folder / key for key in configs}

    def _label_view(
        self,
        work: WorkDir,
        label: Label,
        writers: Sequence[ShardSetWriter],
        configs: Mapping[str, FeatureConfig],
        split: str,
        view: int,
        utt_ids: Sequence[str],
    ) -> None:
        """Label some utterances of a view, from features of the teachers and the student by their key."""
        name = view_name(view)
        order = writing_order(utt_ids, self.config.order_seed, split, name)
        labelling_of_view = ViewLabelling(writers, split, name, order, self._members(work, split))
        if labelling_of_view.is_done:
            return
        alignment = work.alignment(split) if (work.align / split).is_dir() else None

        def pdf_ids(utt_id: str) -> np.ndarray[Any, Any] | None:
            # Audio without a transcript, or that failed to align: soft targets alone.
            if not alignment or utt_id not in alignment:
                return None
            first, last = stored.span(utt_id)
            return view_labels(np.array(alignment.get(utt_id)), last - first)

        with self._features(work, configs, split, view) as folders:
            stored = FrameStore(folders[self.student.features.key])
            labelling_of_view.write(label, stored, folders, pdf_ids)


def writing_order(utt_ids: Sequence[str], seed: int | None, split: str, view: str) -> list[str]:
    """Return utterances in a random order that depends on nothing but these arguments; None: as they come."""
    if seed is None:
        return list(utt_ids)
    return sorted(utt_ids, key=lambda utt_id: sha256(f"{seed} {split} {view} {utt_id}".encode()).digest())
