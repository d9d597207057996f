"""From audio to normalised feature frames on disk: frontend, resampling and CMVN joined."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from asr_kd.am.checkpoint import FrontendCard
from asr_kd.atomic import atomic_dir
from asr_kd.data.audio import load_utterance, resample
from asr_kd.data.augment import AugmentConfig, augment, mask_view, plan_view
from asr_kd.data.frame_store import FRAMES_FILE, FrameStore, FrameStoreWriter
from asr_kd.data.manifest import Utterance
from asr_kd.fingerprint import fingerprint
from asr_kd.frontend.base import BUILT_IN, Frontend, Recording, compute_batch, load_frontend
from asr_kd.frontend.cmvn import Cmvn, CmvnMode
from asr_kd.frontend.protocol import frontend_name
from asr_kd.in_order import map_in_order
from asr_kd.progress import track
from asr_kd.torch_threads import one_torch_thread
from asr_kd.units import num_frames

_THREADS = 2
_IN_FLIGHT = 6
_BATCH_SECONDS = 30.0  # of audio: long enough to hide what a call costs, short enough to stay small

Item = TypeVar("Item")
Result = TypeVar("Result")


class ViewConfig(BaseModel):
    """Augmented copies of the training and transfer audio, labelled by the teachers for the student.

    Attributes:
        count: Views beside the original; the student sees each utterance so many more times.
        hard: How many of them, the first ones, the nets on hard labels learn too: teachers, baseline and
            control, with the alignment's labels. An epoch of theirs is then a pass over all of these.
        augment: What a view may do to an utterance; the same for the same utt_id and number of the view.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    count: int = Field(0, ge=0)
    hard: int = Field(0, ge=0)
    augment: AugmentConfig = AugmentConfig()

    @model_validator(mode="after")
    def _check_hard(self) -> ViewConfig:
        if self.hard > self.count:
            raise ValueError(f"views.hard is {self.hard}, and views.count only {self.count}")
        return self

    @model_validator(mode="after")
    def _check_noises(self) -> ViewConfig:
        if "given" in self.augment.noise_kinds and self.augment.noise_probability > 0:
            raise ValueError(
                "augment.noise_kinds: recordings can be given to augment() alone, not in settings; "
                "take white, pink or both"
            )
        return self

    def numbers(self) -> range:
        """Return the numbers of all views; 0 is the original."""
        return range(self.count + 1)


def view_name(number: int) -> str:
    """Return the name of a view in shards and folders; the original has none."""
    return f"view{number}" if number else ""


class FeatureConfig(BaseModel):
    """A frontend and how its features are normalised.

    Attributes:
        name: Short name (fbank, mfcc, librosa_logmel) or the user's ``package.module:Class``.
        options: Keyword arguments of the frontend's class.
        cmvn: Over what mean and variance are normalised.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = "fbank"
    options: dict[str, Any] = {}
    cmvn: CmvnMode = "speaker"

    @property
    def key(self) -> str:
        """Name of the folder that holds these features."""
        short = self.name.rpartition(":")[2].lower()
        return f"{short}-{fingerprint(self.model_dump())[:8]}"

    def load(self, search_path: Path | None) -> Frontend:
        """Build the frontend; a user's module is also looked for in ``search_path``."""
        return load_frontend(self.name, self.options, search_path)

    def card(self, frontend: Frontend) -> FrontendCard:
        """Return what a model keeps of these settings."""
        spec = frontend.spec
        return FrontendCard(
            name=self.name,
            options=self.options,
            cmvn=self.cmvn,
            dim=spec.dim,
            frame_shift=spec.frame_shift,
            sampling_rate=spec.sampling_rate,
            fingerprint=spec.fingerprint,
        )


def num_view_frames(utterance: Utterance, view: int, augmentation: AugmentConfig, frame_shift: float) -> int:
    """Return how many frames :func:`extract_split` gives a view of an utterance, without its audio."""
    num_samples = plan_view(utterance.utt_id, view, augmentation).num_samples(utterance.num_samples)
    return num_frames(num_samples, utterance.sampling_rate, frame_shift)


def extract_split(
    utterances: Sequence[Utterance],
    frontend: Frontend,
    config: FeatureConfig,
    folder: Path,
    view: int = 0,
    augmentation: AugmentConfig | None = None,
    kept: Container[str] | None = None,
) -> int:
    """Extract and normalise the features of a split into a :class:`FrameStore` folder.

    Args:
        utterances: Of the split.
        frontend: Built from ``config``.
        config: Frontend and normalisation.
        folder: Where to.
        view: Number of the augmented view; 0 is the original.
        augmentation: From what views are drawn.
        kept: Utt_ids of those to store; what else a speaker says counts for mean and variance alone, and is
            computed for nothing else. None stores all.

    Returns:
        The number of frames stored.
    """
    augmentation = augmentation or AugmentConfig()
    cmvn = Cmvn(config.cmvn)
    meta = {"frontend": config.card(frontend).model_dump()}
    by_speaker = config.cmvn == "speaker"
    stored = {row.utt_id: row.speaker for row in utterances if kept is None or row.utt_id in kept}
    speakers = set(stored.values()) if by_speaker else set()
    needed = [row for row in utterances if row.utt_id in stored or row.speaker in speakers]
    turn = _turn(frontend)

    def load(utterance: Utterance) -> Recording:
        audio = load_utterance(utterance)
        samples = augment(audio.samples, audio.sampling_rate, utterance.utt_id, view, augmentation)
        return Recording(samples, audio.sampling_rate, f"{utterance.utt_id} ({utterance.audio})")

    def extract(batch: Sequence[Utterance]) -> list[NDArray[np.float32]]:
        recordings = [load(utterance) for utterance in batch]
        with turn:
            computed = compute_batch(frontend, recordings, resample)
        return [
            mask_view(torch.from_numpy(features), utterance.utt_id, view, augmentation).numpy()
            for utterance, features in zip(batch, computed, strict=True)
        ]

    with atomic_dir(folder) as temporary:
        with FrameStoreWriter(temporary, "float32", (frontend.spec.dim,), meta) as writer:
            computed = itertools.chain.from_iterable(_in_threads(extract, batches(needed)))
            found = zip(needed, computed, strict=True)
            what = f"features {config.key} {folder.name}"
            for utterance, features in track(found, what, len(needed), "utterances"):
                cmvn.accumulate(features, utterance.speaker)
                if utterance.utt_id in stored:
                    writer.add(utterance.utt_id, features if by_speaker else cmvn.apply(features))
        if by_speaker:
            _normalise_in_place(temporary, stored, cmvn)
    return len(FrameStore(folder).frames)


def _turn(frontend: Frontend) -> AbstractContextManager[Any]:
    """Return what a thread holds while it computes.

    A class of the user's may keep samples or a buffer in itself, which another thread would overwrite.
    """
    return nullcontext() if frontend_name(frontend) in BUILT_IN.values() else threading.Lock()


def _normalise_in_place(folder: Path, speakers: Mapping[str, str], cmvn: Cmvn) -> None:
    """Normalise stored features with the statistics of their speakers, which are complete only now."""
    store = FrameStore(folder)
    frames = np.load(folder / FRAMES_FILE, mmap_mode="r+", allow_pickle=False)
    for utt_id, speaker in speakers.items():
        first, last = store.span(utt_id)
        frames[first:last] = cmvn.apply(frames[first:last], speaker)
    frames.flush()


def batches(utterances: Iterable[Utterance], seconds: float = _BATCH_SECONDS) -> Iterator[list[Utterance]]:
    """Yield utterances in their order, several together as long as they last no longer than ``seconds``."""
    batch: list[Utterance] = []
    total = 0.0
    for utterance in utterances:
        if batch and total + utterance.duration > seconds:
            yield batch
            batch, total = [], 0.0
        batch.append(utterance)
        total += utterance.duration
    if batch:
        yield batch


def _in_threads(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Map over items in threads.

    Each of them computes alone: torch rounds resampled audio otherwise for another number of threads, and
    features must not depend on the machine's cores.
    """
    with (
        one_torch_thread(),
        ThreadPoolExecutor(_THREADS, initializer=torch.set_num_threads, initargs=(1,)) as pool,
    ):
        yield from map_in_order(pool, function, items, _IN_FLIGHT)
