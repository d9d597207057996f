"""A finished posterior shard set: opened when it fits, verified, and read shard by shard."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from asr_kd.data.remote import FileSource
from asr_kd.data.shards import read_shard_data
from asr_kd.distill.shard_header import (
    HEADER_FILE,
    ShardInfo,
    ShardSetHeader,
    parse_header,
    require_fields,
)
from asr_kd.distill.shard_sample import StoredUtterance, unpack_sample
from asr_kd.distill.sparse import PosteriorCode, make_code
from asr_kd.errors import AsrKdError, ShardError


class ShardSet:
    """Header and files of a shard set.

    Attributes:
        header: What it holds and what it was made from.
        location: Folder, URL or ``pipe:`` command.
        code: Of the stored posteriors.
    """

    def __init__(self, header: ShardSetHeader, files: FileSource) -> None:
        self.header = header
        self.location = files.location
        self.code: PosteriorCode = make_code(header.code, header.num_senones)
        self._files = files
        self._checked: dict[str, tuple[int, ...]] = {}

    def shards(self, splits: Sequence[str]) -> list[ShardInfo]:
        """Return the shards of some splits in the order of the header.

        Raises:
            ShardError: For a split that the set lacks.
        """
        for split in splits:
            if split not in self.header.splits:
                raise ShardError(
                    f'no split "{split}" is stored', where=self.location, expected=list(self.header.splits)
                )
        return [shard for split in splits for shard in self.header.splits[split]]

    def read(self, shard: ShardInfo) -> Iterator[StoredUtterance]:
        """Yield a shard's utterances, after its size and checksum were found right.

        The checksum of a local file is taken again only when the file was written anew since.

        Raises:
            ShardError: Naming the file, and what is wrong with it.
        """
        where = self._files.where(shard.name)
        state = self._files.local_state(shard.name)
        with self._files.open(shard.name, shard.sha256) as stream:
            data = _read_most(stream, shard.num_bytes + 1)
        if len(data) != shard.num_bytes:
            raise ShardError(
                "the shard is cut off or is another one",
                where=where,
                expected=f"{shard.num_bytes} bytes",
                got=f"{len(data)} or more",
            )
        if state is None or self._checked.get(shard.name) != state:
            digest = hashlib.sha256(data).hexdigest()
            if digest != shard.sha256:
                raise ShardError(
                    "not the shard that the header names (swapped or damaged)",
                    where=where,
                    expected=f"sha256 {shard.sha256}",
                    got=digest,
                )
            if state is not None:
                self._checked[shard.name] = state
        num_teachers = len(self.header.teachers) if self.header.keep_apart else 0
        for sample in read_shard_data(data, where):
            yield unpack_sample(sample, where, num_teachers)

    def check_files(self) -> None:
        """Refuse missing, truncated or doubled shards, as far as names and sizes tell.

        Raises:
            ShardError: Naming the file.
        """
        names: set[str] = set()
        digests: dict[str, str] = {}
        for shard in self.shards(list(self.header.splits)):
            where = self._files.where(shard.name)
            if shard.name in names:
                raise ShardError("a shard is in the header twice", where=where)
            if shard.sha256 in digests:
                raise ShardError(f"the same shard as {digests[shard.sha256]}", where=where)
            names.add(shard.name)
            digests[shard.sha256] = shard.name
            size = self._files.local_size(shard.name)
            if size == -1:
                raise ShardError(
                    "a shard is missing", where=where, hint="copy it here, or write the set again"
                )
            if size is not None and size != shard.num_bytes:
                raise ShardError(
                    "the shard is cut off or is another one",
                    where=where,
                    expected=f"{shard.num_bytes} bytes",
                    got=size,
                )

    def verify(self) -> None:
        """Read everything: checksums, counts, lengths, decoding, and that no sample is there twice.

        Raises:
            ShardError: Naming the file or sample, and what is wrong with it.
        """
        self.check_files()
        self._checked.clear()
        for split in self.header.splits:
            seen: set[tuple[str, str]] = set()
            for shard in self.shards([split]):
                num_samples = num_frames = 0
                for utterance in self.read(shard):
                    self._check(utterance, seen, self._files.where(shard.name))
                    num_samples += 1
                    num_frames += len(utterance)
                if (num_samples, num_frames) != (shard.num_samples, shard.num_frames):
                    raise ShardError(
                        "another number of samples and frames than in the header",
                        where=self._files.where(shard.name),
                        expected=f"{shard.num_samples} and {shard.num_frames}",
                        got=f"{num_samples} and {num_frames}",
                    )

    def _check(self, utterance: StoredUtterance, seen: set[tuple[str, str]], where: str) -> None:
        place = f"{where}:{utterance.utt_id}"
        name = (utterance.utt_id, utterance.view)
        if name in seen:
            raise ShardError("the utterance is in the split twice", where=place)
        seen.add(name)
        if utterance.view not in self.header.views:
            raise ShardError("a view that the header lacks", where=place, got=utterance.view)
        if utterance.features.shape[1:] != (self.header.feature_dim,):
            raise ShardError(
                "features of another dimension",
                where=place,
                expected=self.header.feature_dim,
                got=utterance.features.shape[1:],
            )
        for data in (utterance.targets, *utterance.teachers):
            try:
                self.code.decode(data, len(utterance))
            except ValueError as error:
                raise ShardError(f"targets cannot be decoded: {error}", where=place) from None


def _read_most(stream: BinaryIO, most: int) -> memoryview:
    """Return a stream's content, or its first ``most`` bytes."""
    # Memory that nobody has written zeros to, and that torch may take as it is.
    data = np.empty(most, dtype=np.uint8).data
    place = 0
    while place < most and (got := stream.readinto(data[place:])):  # type: ignore[attr-defined]  # all have it
        place += got
    return data[:place]


def open_shard_set(
    location: str | Path, expected: Mapping[str, object] | None = None, cache: Path | None = None
) -> ShardSet:
    """Return a shard set that fits what a student is about to be trained with.

    Args:
        location: Folder, URL of one, or ``pipe:COMMAND`` with ``{}`` for the file's name.
        expected: Values that header fields must have, such as ``{"temperature": 2.0}``.
        cache: Folder that keeps remote shards.

    Raises:
        ShardError: For no or another header, a field that differs, or a shard that is missing or cut off.
    """
    files = FileSource(location, cache)
    where = files.where(HEADER_FILE)
    try:
        with files.open(HEADER_FILE) as stream:
            text = stream.read()
    except AsrKdError as error:
        raise ShardError(
            f"no finished shard set is here: {error.what}",
            where=where,
            hint="run the ensemble stage to its end",
        ) from None
    header = parse_header(text, where)
    require_fields(header, expected or {}, where)
    shard_set = ShardSet(header, files)
    shard_set.check_files()
    return shard_set
