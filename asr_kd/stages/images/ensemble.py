"""Stage 3 of an image recipe: the teachers' tempered posteriors of the training images go to shards."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field

from asr_kd.am.checkpoint import AcousticModel, load_model
from asr_kd.data.images import moved_view, pixel_values
from asr_kd.distill.dense_code import Dense
from asr_kd.distill.ensemble import Averaging, ensemble_log_posteriors
from asr_kd.distill.shard_header import HEADER_FILE, ShardSetFacts
from asr_kd.distill.shard_writer import ShardSetWriter, begin_shard_set
from asr_kd.distill.sparse import CodeConfig
from asr_kd.distill.stored import StoredPosteriors
from asr_kd.extraction import view_name
from asr_kd.fingerprint import fingerprint
from asr_kd.progress import track
from asr_kd.stages.base import Settings, Stage, WorkDir
from asr_kd.stages.images.corpus import ImageCorpus
from asr_kd.stages.teachers import teacher_name

DEV = "dev"


class ImageEnsembleConfig(Settings):
    """Who labels the transfer set, and how the posteriors are stored.

    Attributes:
        num_teachers: The first so many teachers label it together (the paper's: one big net).
        views: Copies of every training image, each moved by up to ``max_shift`` pixels and labelled as it
            then is, for students that learn from such ``views`` (the paper's: none).
        max_shift: Of these copies, in both directions.
        averaging: Arithmetic or geometric mean of their posteriors.
        temperature: T of the stored posteriors.
        code: Of the stored posteriors.
        shard_images: A shard is full once it has as many images.
    """

    num_teachers: int = Field(1, ge=1)
    views: int = Field(0, ge=0)
    max_shift: int = Field(2, ge=0)
    averaging: Averaging = "arithmetic"
    temperature: float = Field(20.0, gt=0)
    code: CodeConfig = Dense()
    shard_images: int = Field(20_000, ge=1)

    def stored(self) -> StoredPosteriors:
        """Return what will be stored of the teachers, as far as it is known before there are any."""
        return StoredPosteriors(
            self.averaging, None, self.num_teachers, self.temperature, self.code, keep_apart=False
        )


def class_split(label: int, view: int = 0) -> str:
    """Return the name of the shards' split that holds a view of the training images of a class."""
    return f"class{label}-view{view}" if view else f"class{label}"


def transfer_splits(
    num_classes: int, only: Collection[int], without: Collection[int], views: int = 0
) -> list[str]:
    """Return the splits of a transfer set.

    Args:
        num_classes: Of the corpus.
        only: The classes that it holds; none given means all.
        without: Classes that it lacks.
        views: Moved copies of each image that it holds beside the image itself.
    """
    kept = [label for label in only or range(num_classes) if label not in without]
    return [class_split(label, view) for view in range(views + 1) for label in sorted(kept)]


class ImageEnsembleStage(Stage):
    """Writes ``shards/``, with one split for each view of each class's training images and one for dev."""

    name = "ensemble"
    needs = ("prepare", "teachers")

    def __init__(self, config: ImageEnsembleConfig) -> None:
        self.config = config

    def settings(self) -> dict[str, Any]:
        """Return averaging, temperature and code."""
        return {"ensemble": self.config.model_dump(mode="json")}

    def outputs(self, work: WorkDir) -> list[Path]:
        """Return the header, which is written last."""
        return [work.shards / HEADER_FILE]

    def discard(self, work: WorkDir) -> None:
        """Remove the shards with the header."""
        shutil.rmtree(work.shards, ignore_errors=True)

    def run(self, work: WorkDir) -> dict[str, Any]:
        """Label every image; shards that are finished are not written again."""
        corpus = ImageCorpus.open(work)
        models = [load_model(work.models / teacher_name(index)) for index in range(self.config.num_teachers)]
        facts = self._facts(corpus, models)
        with begin_shard_set(work.shards, facts, self.config.shard_images) as writer:
            for view in range(self.config.views + 1):
                self._label(corpus, models, writer, "train", view)
            self._label(corpus, models, writer, DEV)
        header = writer.finish()
        return {
            "images": f"{header.num_frames(tuple(header.splits)):,}",
            "bytes/image": f"{header.bytes_per_frame()['targets']:.1f} targets",
        }

    def _facts(self, corpus: ImageCorpus, models: list[AcousticModel]) -> ShardSetFacts:
        frontend = corpus.frontend()
        return ShardSetFacts(
            averaging=self.config.averaging,
            temperature=self.config.temperature,
            code=self.config.code,
            teachers=tuple(model.fingerprint for model in models),
            frontend=frontend.model_dump(),
            cmvn=frontend.cmvn,
            feature_dim=frontend.dim,
            frame_shift=frontend.frame_shift,
            alignment=corpus.fingerprint,
            tree=corpus.classes_fingerprint,
            num_senones=corpus.num_classes,
            prior=tuple(np.exp(corpus.log_prior.astype(np.float64)).tolist()),
            window={"left": 0, "right": 0},
            augmentation=fingerprint({"max_shift": self.config.max_shift}) if self.config.views else "",
        )

    def _label(
        self,
        corpus: ImageCorpus,
        models: list[AcousticModel],
        writer: ShardSetWriter,
        split: str,
        view: int = 0,
    ) -> None:
        images, labels = corpus.images(split), corpus.labels(split)
        shape = (corpus.height, corpus.width)
        what = f"ensemble {split} {view_name(view)}".strip()
        for block in track(images.utt_ids, what, len(images), "blocks"):
            classes = np.array(labels.get(block))
            place = DEV if split == DEV else class_split(int(classes[0]), view)
            if writer.is_written(place, block):
                continue
            values = pixel_values(torch.from_numpy(np.array(images.get(block))))
            pixels = moved_view(values, shape, self.config.max_shift, block, view).numpy()
            log_q = ensemble_log_posteriors(
                (model.logits(pixels) for model in models), self.config.temperature, self.config.averaging
            )
            writer.add(place, block, pixels, classes, log_q)
