"""The shards of one split: those that an earlier run finished, then new ones."""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from asr_kd.atomic import write_text
from asr_kd.data.shards import ShardWriter, shard_key
from asr_kd.distill.shard_header import ShardInfo
from asr_kd.distill.shard_sample import (
    FEATURES_PART,
    PDF_IDS_PART,
    TARGETS_PART,
    StoredUtterance,
    pack_sample,
)
from asr_kd.errors import ShardError

Row = tuple[str, str, int]
"""utt_id, view and number of frames of one sample."""


class SplitWriter:
    """Appends utterances to shards named ``<split>-000000.tar`` and so on.

    A shard is finished when its index ``<split>-000000.json`` stands beside it; a tar alone is written anew.

    Args:
        folder: Of the shard set.
        split: Of the corpus.
        shard_frames: A shard is full once it has as many frames.
    """

    def __init__(self, folder: Path, split: str, shard_frames: int) -> None:
        if not split or shard_key(split) != split:
            raise ShardError("a split's name takes letters, digits, _ and - alone", got=split)
        self._folder = folder
        self._split = split
        self._shard_frames = shard_frames
        for left_over in folder.glob(f".{split}-{'[0-9]' * 6}.*.tmp"):
            left_over.unlink()
        finished = finished_shards(folder, split)
        self._num_shards = len(finished)
        self._is_closed = bool(finished) and finished[-1].num_frames < shard_frames
        self._written = sample_rows(folder, finished)
        self._next = next(self._written, None)
        self._shard: _OpenShard | None = None

    def skip(self, utt_id: str, view: str) -> bool:
        """Return whether the next sample is in a finished shard, and step over it."""
        if self._next is None:
            return False
        if self._next[:2] != (utt_id, view):
            raise ShardError(
                f"utterances of {self._split} come in another order than in the finished shards",
                where=self._folder,
                expected=" ".join(self._next[:2]).strip(),
                got=f"{utt_id} {view}".strip(),
                hint="remove the folder to write it anew",
            )
        self._next = next(self._written, None)
        return True

    def add(self, utterance: StoredUtterance) -> None:
        """Append a sample; one that a finished shard holds is stepped over."""
        if self.skip(utterance.utt_id, utterance.view):
            return
        if self._is_closed:
            raise ShardError(
                f"the shards of {self._split} were closed by an earlier run",
                where=self._folder,
                got=f"another utterance {utterance.utt_id}",
                hint="remove the folder to write it anew",
            )
        if self._shard is None:
            self._shard = _OpenShard(self._folder, f"{self._split}-{self._num_shards:06d}")
        self._shard.add(utterance)
        if self._shard.num_frames >= self._shard_frames:
            self._finish_shard()

    def close(self) -> None:
        """Finish the last shard, which may be short."""
        if self._next is not None:
            raise ShardError(
                f"fewer utterances of {self._split} than in the finished shards",
                where=self._folder,
                expected=f"{self._next[0]} next",
                got="the end",
            )
        if self._shard is not None:
            self._is_closed = self._shard.num_frames < self._shard_frames
            self._finish_shard()

    def discard(self) -> None:
        """Drop the shard that is not full."""
        if self._shard is not None:
            self._shard.discard()
            self._shard = None

    def _finish_shard(self) -> None:
        assert self._shard is not None
        self._shard.finish()
        self._shard = None
        self._num_shards += 1


class _OpenShard:
    """A shard that is being written, and its index."""

    def __init__(self, folder: Path, stem: str) -> None:
        self._folder = folder
        self._stem = stem
        self._writer = ShardWriter(folder / f"{stem}.tar").__enter__()
        self._rows: list[Row] = []
        self._part_bytes = dict.fromkeys((FEATURES_PART, PDF_IDS_PART, TARGETS_PART), 0)
        self._teacher_bytes = 0
        self.num_frames = 0

    def add(self, utterance: StoredUtterance) -> None:
        sample = pack_sample(utterance)
        self._writer.add(sample.key, sample.parts)
        self._rows.append((utterance.utt_id, utterance.view, len(utterance)))
        self.num_frames += len(utterance)
        self._teacher_bytes += sum(map(len, utterance.teachers))
        for part in self._part_bytes:
            self._part_bytes[part] += len(sample.parts.get(part, b""))

    def finish(self) -> None:
        self._writer.__exit__(None, None, None)
        file = self._writer.result
        info = ShardInfo(
            name=f"{self._stem}.tar",
            num_samples=len(self._rows),
            num_frames=self.num_frames,
            num_bytes=file.num_bytes,
            feature_bytes=self._part_bytes[FEATURES_PART],
            label_bytes=self._part_bytes[PDF_IDS_PART],
            target_bytes=self._part_bytes[TARGETS_PART],
            sha256=file.sha256,
            teacher_bytes=self._teacher_bytes,
        )
        index = {"shard": info.model_dump(mode="json"), "samples": self._rows}
        write_text(self._folder / f"{self._stem}.json", json.dumps(index, ensure_ascii=False) + "\n")

    def discard(self) -> None:
        error = ShardError("writing was broken off")
        self._writer.__exit__(type(error), error, None)


def written_splits(folder: Path) -> list[str]:
    """Return the splits that have a finished shard, sorted."""
    return sorted(path.stem.rpartition("-")[0] for path in folder.glob("*-000000.json"))


def finished_shards(folder: Path, split: str) -> list[ShardInfo]:
    """Return the finished shards of a split in order."""
    shards: list[ShardInfo] = []
    while (path := folder / f"{split}-{len(shards):06d}.json").is_file():
        shard = ShardInfo.model_validate(json.loads(path.read_text(encoding="utf-8"))["shard"])
        tar = folder / shard.name
        if not tar.is_file() or tar.stat().st_size != shard.num_bytes:
            break
        shards.append(shard)
    return shards


def sample_rows(folder: Path, shards: Sequence[ShardInfo]) -> Iterator[Row]:
    """Yield utt_id, view and number of frames of every sample, one shard's index in memory at a time."""
    for shard in shards:
        index = json.loads((folder / shard.name).with_suffix(".json").read_text(encoding="utf-8"))
        yield from (tuple(row) for row in index["samples"])


def refuse_doubled(folder: Path, split: str, shards: Sequence[ShardInfo]) -> None:
    """Refuse a sample that is there twice; eight bytes a sample are kept in memory.

    Raises:
        ShardError: Naming one of them.
    """
    digests = array("Q", (_digest(row) for row in sample_rows(folder, shards)))
    values, counts = np.unique(np.frombuffer(digests, dtype=np.uint64), return_counts=True)
    doubled = set(values[counts > 1].tolist())
    if doubled:
        for row in sample_rows(folder, shards):
            if _digest(row) in doubled:
                raise ShardError(
                    f"utterance {row[0]} is in {split} twice", where=folder, hint="give each an id of its own"
                )


def _digest(row: Row) -> int:
    return int.from_bytes(hashlib.sha256(shard_key(*row[:2]).encode()).digest()[:8], "big")
