"""Tar shards that webdataset reads: byte-stable, whole or absent, with keys that it does not cut."""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import webdataset

from asr_kd.atomic import atomic_path
from asr_kd.errors import ShardError
from asr_kd.fingerprint import file_sha256

_NOT_PLAIN = re.compile(rb"[^A-Za-z0-9_-]")
_MAX_KEY = 72
"""Longest key; with the extension it stays within the 100 bytes of a plain tar name."""
_BLOCK = 512
_END = bytes(_BLOCK)


@dataclass(frozen=True)
class Sample:
    """One sample of a shard: members that share a key.

    Attributes:
        key: Made by :func:`shard_key`.
        parts: Content of each member by its extension.
    """

    key: str
    parts: Mapping[str, bytes | memoryview]


@dataclass(frozen=True)
class ShardFile:
    """What is known of a finished shard.

    Attributes:
        num_samples: In it.
        num_bytes: Of the file.
        sha256: Of the file, 64 hex digits.
    """

    num_samples: int
    num_bytes: int
    sha256: str


def shard_key(utt_id: str, view: str = "") -> str:
    """Return a key that webdataset keeps whole, different for every pair of utt_id and view.

    webdataset ends a key at its first dot, and tar cuts or extends long names. All bytes but letters, digits,
    ``_`` and ``-`` are written ``%XX``; a long key ends in ``~`` and a digest of the whole of it.

    Args:
        utt_id: Any text.
        view: Name of an augmented copy; it follows an ``@``.
    """
    key = _escape(utt_id) + (f"@{_escape(view)}" if view else "")
    if len(key) <= _MAX_KEY:
        return key
    digest = hashlib.sha256(key.encode()).hexdigest()[:24]
    return f"{key[: _MAX_KEY - len(digest) - 1]}~{digest}"


def _escape(text: str) -> str:
    return _NOT_PLAIN.sub(lambda found: b"%%%02X" % ord(found[0]), text.encode()).decode("ascii")


class ShardWriter:
    """Writes one shard; it stands under its name only when the ``with`` block ended well.

    The same samples give the same bytes: no clock, user or order of a dictionary enters them.

    Args:
        path: Of the shard, ``.tar``.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._atomic = atomic_path(path)
        self._num_samples = 0
        self._result: ShardFile | None = None

    def __enter__(self) -> ShardWriter:
        self._temporary = self._atomic.__enter__()
        self._stream: BinaryIO = self._temporary.open("wb")
        self._tar = webdataset.TarWriter(self._stream, encoder=False, mtime=0, user="", group="")
        return self

    def add(self, key: str, parts: Mapping[str, bytes | memoryview]) -> None:
        """Append a sample's members, sorted by extension.

        Raises:
            ShardError: When they cannot be written, as on a full disk.
        """
        try:
            self._tar.write({"__key__": key, **parts})
        except OSError as error:
            raise ShardError(f"cannot be written: {error}", where=self._path) from None
        self._num_samples += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._tar.close()
            self._stream.close()
            size = self._temporary.stat().st_size
            self._result = ShardFile(self._num_samples, size, file_sha256(self._temporary))
        except OSError as failure:
            problem = ShardError(f"cannot be written: {failure}", where=self._path)
            self._atomic.__exit__(type(problem), problem, None)
            raise problem from None
        self._atomic.__exit__(kind, error, trace)

    @property
    def result(self) -> ShardFile:
        """Facts about the finished shard."""
        assert self._result is not None, f"{self._path} is not finished"
        return self._result


def read_shard(stream: BinaryIO, where: str) -> Iterator[Sample]:
    """Yield the samples of a shard in stored order, one in memory at a time.

    Args:
        stream: The tar's bytes; it need not be able to seek.
        where: Its name, for messages.

    Raises:
        ShardError: For a damaged or truncated tar, or members of one sample that are doubled or apart.
    """
    return _samples(_members(stream, where), where)


def read_shard_data(data: memoryview, where: str) -> Iterator[Sample]:
    """Yield the samples of a shard in memory; their parts are views of it.

    The digest of the shard vouches for its headers. What :class:`ShardWriter` does not write is left to
    :mod:`tarfile`.

    Args:
        data: The whole tar.
        where: Its name, for messages.

    Raises:
        ShardError: As :func:`read_shard`.
    """
    members = _plain_members(data)
    if members is None:
        return read_shard(io.BytesIO(data), where)
    return _samples(members, where)


def _plain_members(data: memoryview) -> list[tuple[str, memoryview]] | None:
    """Return names and contents of a tar of plain files with short names alone, else None."""
    members: list[tuple[str, memoryview]] = []
    place = 0
    while True:
        header = bytes(data[place : place + _BLOCK])
        if header == _END:
            return members
        size = header[124:135]
        if len(header) != _BLOCK or header[156] not in b"0\0" or header[345] or not size.isdigit():
            return None
        first = place + _BLOCK
        last = first + int(size, 8)
        place = first + -(-(last - first) // _BLOCK) * _BLOCK
        if place > len(data):
            return None
        members.append((header[: header.index(0)].decode("utf-8", "surrogateescape"), data[first:last]))


def _samples(members: Iterable[tuple[str, bytes | memoryview]], where: str) -> Iterator[Sample]:
    key: str | None = None
    parts: dict[str, bytes | memoryview] = {}
    finished: set[str] = set()
    for name, data in members:
        member_key, _, extension = name.partition(".")
        if member_key != key:
            if key is not None:
                yield Sample(key, parts)
                finished.add(key)
            key, parts = member_key, {}
        if extension in parts or member_key in finished:
            raise ShardError("a member is doubled or apart from its sample", where=where, got=name)
        parts[extension] = data
    if key is not None:
        yield Sample(key, parts)


def _members(stream: BinaryIO, where: str) -> Iterator[tuple[str, bytes]]:
    try:
        with tarfile.open(fileobj=stream, mode="r|") as tar:
            for member in tar:
                content = tar.extractfile(member)
                if content is None:
                    raise ShardError("holds something that is no file", where=where, got=member.name)
                data = content.read()
                if len(data) != member.size:
                    raise ShardError(
                        "the shard is cut off", where=where, got=f"{len(data)} bytes of {member.name}"
                    )
                yield member.name, data
    except (tarfile.TarError, EOFError) as error:
        raise ShardError(
            f"not a whole tar file: {error}", where=where, hint="write or fetch it again"
        ) from None
