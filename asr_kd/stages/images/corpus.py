"""Stage 1 of an image recipe, and what the later ones read of its images."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr_kd.am.checkpoint import FrontendCard, ModelCard
from asr_kd.am.prior import log_prior
from asr_kd.am.registry import ArchitectureConfig
from asr_kd.atomic import atomic_dir
from asr_kd.data.block_source import StoreSource
from asr_kd.data.frame_store import FRAMES_FILE, FrameStore
from asr_kd.data.images import PixelSource
from asr_kd.data.windows import ContextWindow
from asr_kd.extraction import FeatureConfig
from asr_kd.fingerprint import file_sha256, fingerprint
from asr_kd.stages.base import CORPUS_HINT, Settings, Stage, WorkDir, require
from asr_kd.stages.prepare import parse_corpus_options
from data_prep.common import CorpusOptions
from data_prep.registry import load_image_module

SPLITS = ("train", "dev", "test")

PIXELS = FeatureConfig(name="pixels", cmvn="none")
"""The features of an image net: the image's own pixel values."""

_POOL_IMAGES = 4_000_000


class ImageCorpusConfig(Settings):
    """Which images.

    Attributes:
        module: Short name (mnist) or the user's ``package.module``.
        options: Of the corpus module.
    """

    module: str
    options: dict[str, Any] = {}

    def parsed_options(self) -> CorpusOptions:
        """Return the options as the module takes them.

        Raises:
            ConfigError: For an unknown module or option.
        """
        return parse_corpus_options(load_image_module(self.module).options_type, self.options, self.module)


class ImagePrepareStage(Stage):
    """Writes ``corpus/images`` and ``corpus/labels``.

    Args:
        config: Which images.
        corpus: Their folder; None lets the module download them.
    """

    name = "prepare"
    needs = ()
    stale_hint = CORPUS_HINT

    def __init__(self, config: ImageCorpusConfig, corpus: Path | None) -> None:
        self.config = config
        self.corpus = corpus

    def settings(self) -> dict[str, Any]:
        """Return the corpus module and its options; where the corpus lies does not matter."""
        options = self.config.parsed_options().model_dump(mode="json")
        return {"corpus": {"module": self.config.module, "options": options}}

    def sources(self) -> dict[str, Any]:
        """Return where the images lie, when that is said."""
        return self.config.parsed_options().sources(self.corpus)

    def content(self, work: WorkDir) -> str:
        """Return a fingerprint of all images and labels."""
        return ImageCorpus.open(work).fingerprint

    def outputs(self, work: WorkDir) -> list[Path]:
        """Return the folders of images and labels."""
        return [work.corpus / kind / split for kind in ("images", "labels") for split in SPLITS]

    def run(self, work: WorkDir) -> dict[str, Any]:
        """Prepare the corpus."""
        module = load_image_module(self.config.module)
        with atomic_dir(work.corpus) as folder:
            summary = module.prepare(self.corpus, folder, self.config.parsed_options())
        counts: dict[str, list[int]] = summary["class_counts"]
        return {"corpus": summary["name"], **{split: f"{sum(counts[split]):,} images" for split in SPLITS}}


@dataclass(frozen=True)
class ImageCorpus:
    """Prepared images.

    Attributes:
        folder: Of the corpus.
        height: Of an image.
        width: Of an image.
        class_counts: Images of each class ``[num_classes]`` by split.
    """

    folder: Path
    height: int
    width: int
    class_counts: Mapping[str, list[int]]

    @classmethod
    def open(cls, work: WorkDir) -> ImageCorpus:
        """Open the corpus of a work folder."""
        summary = json.loads(require(work.corpus / "corpus.json", "prepare").read_text(encoding="utf-8"))
        return cls(work.corpus, summary["height"], summary["width"], summary["class_counts"])

    @property
    def num_pixels(self) -> int:
        """Pixels of an image: the feature dimension D."""
        return self.height * self.width

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_counts["train"])

    @property
    def fingerprint(self) -> str:
        """Of all images and labels."""
        files = {
            f"{kind}/{split}": file_sha256(self.folder / kind / split / FRAMES_FILE)
            for kind in ("images", "labels")
            for split in SPLITS
        }
        return fingerprint({**files, "size": [self.height, self.width]})

    @property
    def classes_fingerprint(self) -> str:
        """Of the inventory of classes, which stands where speech has its senone tree."""
        return fingerprint({"classes": list(range(self.num_classes))})

    @property
    def log_prior(self) -> NDArray[np.float32]:
        """Log of the classes' shares of the training images."""
        return log_prior(np.asarray(self.class_counts["train"], dtype=np.int64))

    def images(self, split: str) -> FrameStore:
        """Open a split's images: uint8 ``[N, D]``, in blocks of one class."""
        return FrameStore(self.folder / "images" / split)

    def labels(self, split: str) -> FrameStore:
        """Open a split's classes: int32 ``[N]``."""
        return FrameStore(self.folder / "labels" / split)

    def source(self, split: str, batch_size: int, seed: int, max_shift: int = 0) -> PixelSource:
        """Return batches of a split with its classes as ``pdf_ids``."""
        images = self.images(split)
        targets = {"pdf_ids": self.labels(split)}
        window = ContextWindow(0, 0)
        store = StoreSource(images, targets, images.utt_ids, batch_size, window, _POOL_IMAGES, seed)
        return PixelSource(store, self.height, self.width, max_shift, seed)

    def frontend(self) -> FrontendCard:
        """Return what models and shards say of their features; an image is a frame of one sample."""
        return FrontendCard(
            name=PIXELS.name,
            options=PIXELS.options,
            cmvn=PIXELS.cmvn,
            dim=self.num_pixels,
            frame_shift=1.0,
            sampling_rate=1,
            fingerprint=fingerprint({"pixels": [self.height, self.width]}),
        )

    def card(self, architecture: ArchitectureConfig) -> ModelCard:
        """Return the card of a net that is about to be trained."""
        return ModelCard(
            architecture=architecture,
            frontend=self.frontend(),
            window_left=0,
            window_right=0,
            num_senones=self.num_classes,
            tree_fingerprint=self.classes_fingerprint,
            log_prior=self.log_prior.tolist(),
        )
