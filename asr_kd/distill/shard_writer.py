"""Writes posterior shard sets: streaming, resumable at any instant, with the same bytes in the end."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from asr_kd.atomic import write_json, write_text
from asr_kd.data.shards import shard_key
from asr_kd.distill.bits import Array
from asr_kd.distill.shard_header import HEADER_FILE, ShardSetFacts, ShardSetHeader
from asr_kd.distill.shard_sample import StoredUtterance, teacher_key
from asr_kd.distill.sparse import make_code
from asr_kd.distill.split_writer import SplitWriter, finished_shards, refuse_doubled, written_splits
from asr_kd.errors import ShardError

FACTS_FILE = "facts.json"


def begin_shard_set(folder: Path, facts: ShardSetFacts, shard_frames: int) -> ShardSetWriter:
    """Return a writer that goes on with what is there, once shards with other facts are removed."""
    try:
        return ShardSetWriter(folder, facts, shard_frames)
    except ShardError:
        shutil.rmtree(folder)
        return ShardSetWriter(folder, facts, shard_frames)


class ShardSetWriter:
    """Appends utterances to the shards of their split and starts a new shard when one is full.

    Utterances come in the same order in every run. After a kill, start again with the same arguments:
    :meth:`is_written` tells which ones need no teacher, and the bytes in the end are those of one run.
    Several processes may write one split each; one of them, or a later one, calls :func:`finish_shard_set`.

    Args:
        folder: Of the shard set; made when it is missing.
        facts: What the set is made from.
        shard_frames: A shard is full once it has as many frames.

    Raises:
        ShardError: When the folder holds shards of other facts.
    """

    def __init__(self, folder: Path, facts: ShardSetFacts, shard_frames: int = 100_000) -> None:
        self._folder = folder
        self._facts = facts
        self._shard_frames = shard_frames
        self._code = make_code(facts.code, facts.num_senones)
        self._label_type = np.int16 if facts.num_senones <= 2**15 else np.int32
        self._splits: dict[str, SplitWriter] = {}
        folder.mkdir(parents=True, exist_ok=True)
        self._begin()

    def _begin(self) -> None:
        path = self._folder / FACTS_FILE
        begun = {**self._facts.model_dump(mode="json"), "shard_frames": self._shard_frames}
        if path.is_file():
            found = json.loads(path.read_text(encoding="utf-8"))
            for name in (*begun, *found):
                if found.get(name) != begun.get(name):
                    raise ShardError(
                        f"shards were begun here with another {name}",
                        where=self._folder,
                        expected=str(found.get(name))[:120],
                        got=str(begun.get(name))[:120],
                        hint="remove the folder to write it anew",
                    )
        else:
            write_json(path, begun)

    def is_written(self, split: str, utt_id: str, view: str = "") -> bool:
        """Return whether a finished shard holds this utterance, which is the next one of its split.

        Raises:
            ShardError: When the order differs from the one that the finished shards were written in.
        """
        return self._split(split).skip(utt_id, view)

    def add(
        self,
        split: str,
        utt_id: str,
        features: Tensor | np.ndarray[Any, Any],
        pdf_ids: Tensor | np.ndarray[Any, Any] | None,
        log_q: Tensor,
        view: str = "",
        teachers: Sequence[bytes] = (),
    ) -> None:
        """Append one utterance of log posteriors ``[T, S]``; all else is as for :meth:`add_coded`."""
        if tuple(log_q.shape) != (len(features), self._facts.num_senones):
            raise ShardError(
                "log_q of another shape",
                where=utt_id,
                expected=(len(features), self._facts.num_senones),
                got=tuple(log_q.shape),
            )
        coded = self._code.encode(log_q, shard_key(utt_id, view))
        self.add_coded(split, utt_id, features, pdf_ids, coded, view, teachers)

    def add_coded(
        self,
        split: str,
        utt_id: str,
        features: Tensor | np.ndarray[Any, Any],
        pdf_ids: Tensor | np.ndarray[Any, Any] | None,
        targets: bytes,
        view: str = "",
        teachers: Sequence[bytes] = (),
    ) -> None:
        """Append one utterance whose posteriors are coded already.

        Args:
            split: Of the corpus.
            utt_id: As in the manifest.
            features: ``[T, D]``, normalised as the header says.
            pdf_ids: ``[T]``; None for audio without a transcript.
            targets: The coded posteriors of T frames; the key of their code is ``shard_key(utt_id, view)``.
            view: Name of the augmented copy, one of the header's.
            teachers: Of each teacher alone, by :meth:`encode_teacher`, when they are kept apart.

        Raises:
            ShardError: For shapes that do not fit, values that float16 cannot hold, or an unknown view.
        """
        labels = None if pdf_ids is None else torch.as_tensor(pdf_ids).cpu().numpy()
        frames = torch.as_tensor(features).detach().cpu().half().numpy()
        self._check(utt_id, view, frames, labels)
        expected = len(self._facts.teachers) if self._facts.keep_apart else 0
        if len(teachers) != expected:
            raise ShardError("teachers kept apart", where=utt_id, expected=expected, got=len(teachers))
        utterance = StoredUtterance(
            utt_id,
            view,
            frames,
            None if labels is None else labels.astype(self._label_type),
            targets,
            tuple(teachers),
        )
        self._split(split).add(utterance)

    def encode_teacher(self, number: int, utt_id: str, log_q: Tensor, view: str = "") -> bytes:
        """Return one teacher's coded posteriors, for :meth:`add`.

        Args:
            number: Of the teacher, from 0.
            utt_id: As in the manifest.
            log_q: The teacher's tempered log posteriors ``[T, S]``.
            view: Name of the augmented copy.
        """
        return self._code.encode(log_q, teacher_key(shard_key(utt_id, view), number))

    def _check(self, utt_id: str, view: str, features: Array, pdf_ids: Array | None) -> None:
        facts, num_frames = self._facts, len(features)
        shapes: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
            "features": (features.shape, (num_frames, facts.feature_dim)),
        }
        if pdf_ids is not None:
            shapes["pdf_ids"] = (pdf_ids.shape, (num_frames,))
        for name, (got, expected) in shapes.items():
            if got != expected:
                raise ShardError(f"{name} of another shape", where=utt_id, expected=expected, got=got)
        if num_frames == 0:
            raise ShardError("an utterance without frames", where=utt_id)
        if view not in facts.views:
            raise ShardError("unknown view", where=utt_id, expected=facts.views, got=view)
        if not np.isfinite(features).all():
            raise ShardError("features that float16 cannot hold", where=utt_id, hint="normalise them (cmvn)")
        if pdf_ids is not None and not 0 <= pdf_ids.min() <= pdf_ids.max() < facts.num_senones:
            raise ShardError(
                "pdf_ids outside the inventory", where=utt_id, expected=f"below {facts.num_senones}"
            )

    def _split(self, split: str) -> SplitWriter:
        if split not in self._splits:
            self._splits[split] = SplitWriter(self._folder, split, self._shard_frames)
        return self._splits[split]

    def close(self) -> None:
        """Finish the last shard of each split."""
        for split in self._splits.values():
            split.close()

    def finish(self) -> ShardSetHeader:
        """Close, write the header and return it."""
        self.close()
        return finish_shard_set(self._folder, self._facts)

    def __enter__(self) -> ShardSetWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            for split in self._splits.values():
                split.discard()


def finish_shard_set(folder: Path, facts: ShardSetFacts) -> ShardSetHeader:
    """Write the header over the finished shards of all splits; with it the set is whole.

    Raises:
        ShardError: When there are no shards or an utterance is there twice.
    """
    splits = {split: finished_shards(folder, split) for split in written_splits(folder)}
    if not splits:
        raise ShardError("no finished shards", where=folder)
    for split, shards in splits.items():
        refuse_doubled(folder, split, shards)
    header = ShardSetHeader(
        **facts.model_dump(), splits={split: tuple(infos) for split, infos in splits.items()}
    )
    write_text(folder / HEADER_FILE, header.model_dump_json(indent=1) + "\n")
    return header
