"""What a stage is, and where everything lies in a work folder."""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from asr_kd.data.frame_store import FrameStore
from asr_kd.data.manifest import LEARNT_SPLITS, SPLITS, Utterance, read_manifest
from asr_kd.errors import StageError
from asr_kd.score.word_classes import SCORE_WORDS_FILE

LEXICON_FILE = "lexicon.txt"
LM_TEXT_FILE = "lm_text.txt"


class Settings(BaseModel):
    """Base of all settings in a recipe: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True)
class WorkDir:
    """Names every path below a work folder, so that no stage spells another stage's paths."""

    root: Path

    @property
    def corpus(self) -> Path:
        """Manifests, lexicon and LM text."""
        return self.root / "corpus"

    @property
    def lexicon(self) -> Path:
        """Pronunciations as the corpus module wrote them."""
        return self.corpus / LEXICON_FILE

    @property
    def lm_text(self) -> Path:
        """Sentences for the language model, one a line."""
        return self.corpus / LM_TEXT_FILE

    @property
    def score_words(self) -> Path:
        """Words as which others are scored, where the corpus says so."""
        return self.corpus / SCORE_WORDS_FILE

    @property
    def align(self) -> Path:
        """Alignments, HMM and pdf counts."""
        return self.root / "align"

    @property
    def models(self) -> Path:
        """Model directories."""
        return self.root / "models"

    @property
    def training(self) -> Path:
        """Checkpoints and logs of training runs."""
        return self.root / "training"

    @property
    def shards(self) -> Path:
        """The posterior shard set."""
        return self.root / "shards"

    @property
    def lattices(self) -> Path:
        """What competes in the training utterances, and the graph that found it."""
        return self.root / "lattices"

    @property
    def graph(self) -> Path:
        """Decoding graph and its symbols."""
        return self.root / "graph"

    @property
    def decode(self) -> Path:
        """Hypotheses of each system and split."""
        return self.root / "decode"

    @property
    def recognisers(self) -> Path:
        """One folder a system with all that it takes to recognise audio."""
        return self.root / "recognisers"

    @property
    def score(self) -> Path:
        """Scores of each system."""
        return self.root / "score"

    @property
    def run_facts(self) -> Path:
        """The recipe's folder and settings, as they were run last."""
        return self.root / "run.json"

    @property
    def markers(self) -> Path:
        """Markers of finished stages."""
        return self.root / "stages"

    def manifest(self, split: str) -> Path:
        """Return a split's manifest."""
        return self.corpus / f"{split}.jsonl"

    def splits(self) -> list[str]:
        """Return the splits that the corpus has."""
        return [split for split in SPLITS if self.manifest(split).is_file()]

    def utterances(self, split: str) -> list[Utterance]:
        """Return a split's utterances."""
        return read_manifest(self.manifest(split))

    def normalised_with(self, split: str) -> list[Utterance]:
        """Return the utterances over which a split's speakers are normalised, in one order.

        Train and transfer are one set of speakers of which a part has no text: what they say counts for both.
        """
        splits = LEARNT_SPLITS if split in LEARNT_SPLITS else (split,)
        return [row for each in splits if self.manifest(each).is_file() for row in self.utterances(each)]

    @property
    def sweeps(self) -> Path:
        """Where sweeps of the recipe have their work folders: beside this one."""
        return self.root.with_name(f"{self.root.name}-sweep")

    def further_shards(self, name: str) -> Path:
        """Return the folder of another shard set of the same teachers."""
        return self.root / f"shards-{name}"

    def features(self, key: str, split: str, view: str = "") -> Path:
        """Return the folder of a split's features; ``key`` tells the feature settings apart."""
        return self.root / "features" / key / (f"{split}-{view}" if view else split)

    def feature_store(self, key: str, split: str, view: str = "") -> FrameStore:
        """Open a split's features."""
        return FrameStore(self.features(key, split, view))

    def alignment(self, split: str) -> FrameStore:
        """Open a split's alignment: one pdf_id a frame."""
        return FrameStore(self.align / split)


CORPUS_HINT = "leave out --corpus to go on with the corpus that it has"


class Stage(ABC):
    """One step of the pipeline.

    A stage reads what the stages in ``needs`` wrote and writes its own ``outputs``; it is done again
    only when its ``settings`` or what it reads has changed.
    """

    name: ClassVar[str]
    needs: tuple[str, ...]
    data_parallel: ClassVar[bool] = False
    """Whether all ranks of a run under ``torchrun`` run it together; else the first does, and they wait."""
    outputs_named_by: ClassVar[str | None] = None
    """The setting whose keys name its outputs, ``""`` for all: a further key changes none that are there."""
    stale_hint: ClassVar[str] = ""
    """A further way to go on when it is stale."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Return all settings that its outputs depend on, as JSON."""

    @abstractmethod
    def outputs(self, work: WorkDir) -> list[Path]:
        """Return the files and folders that it writes."""

    def is_whole(self, work: WorkDir) -> bool:
        """Return whether all of its outputs are there."""
        return all(path.exists() for path in self.outputs(work))

    def content(self, work: WorkDir) -> str:
        """Return what identifies the outputs beside settings and inputs, when they come from outside."""
        return ""

    def sources(self) -> dict[str, Any]:
        """Return what it reads from outside the work folder, as JSON, as far as that is known now.

        It is no setting, so that nothing is made anew for it alone; but a stage that read something else is
        stale.
        """
        return {}

    def check_corpus(self, work: WorkDir) -> None:  # noqa: B027  # most take any corpus
        """Refuse settings that do not go with the prepared corpus, before a stage other than prepare runs.

        Raises:
            ConfigError: Naming the setting.
        """

    def discard(self, work: WorkDir) -> None:
        """Remove the outputs, so that a forced run makes all of them anew."""
        for path in self.outputs(work):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    @abstractmethod
    def run(self, work: WorkDir) -> dict[str, Any]:
        """Do the work; return a few facts for the user, as JSON."""


def require(path: Path, stage: str) -> Path:
    """Return a path that an earlier stage wrote.

    Raises:
        StageError: When it is not there, naming the stage that writes it.
    """
    if not path.exists():
        raise StageError(
            "an input is missing", where=path, hint=f"run stage {stage} (asr-kd run ... --from-stage {stage})"
        )
    return path
