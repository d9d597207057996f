"""Files on local disk, behind a URL or behind a command, read alike."""

from __future__ import annotations

import http.client
import shlex
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import fsspec  # type: ignore[import-untyped]  # it carries no types

from asr_kd.atomic import atomic_path
from asr_kd.errors import AsrKdError
from asr_kd.fingerprint import file_sha256

_TIMEOUT_SECONDS = 60


def is_remote(location: str | Path) -> bool:
    """Return whether a location is a URL or a ``pipe:`` command and no local path."""
    text = str(location)
    return "://" in text or text.startswith("pipe:")


def join(location: str, name: str) -> str:
    """Return the location of a file in a folder; a command takes the name in place of ``{}``.

    Args:
        location: Local folder, URL, or ``pipe:COMMAND`` such as ``pipe:ssh host cat /shards/{}``.
        name: File name.
    """
    if location.startswith("pipe:"):
        if "{}" not in location:
            raise AsrKdError(
                "a pipe needs {} where the file's name goes", got=location, expected="pipe:cat DIR/{}"
            )
        return location.replace("{}", name)
    return f"{location.rstrip('/')}/{name}" if is_remote(location) else str(Path(location) / name)


@contextmanager
def open_location(location: str) -> Iterator[BinaryIO]:
    """Open a local file, an http(s) URL, a ``pipe:`` command or any URL that fsspec knows.

    Raises:
        AsrKdError: When it cannot be opened, or a command fails.
    """
    if location.startswith("pipe:"):
        with _open_pipe(location.removeprefix("pipe:")) as stream:
            yield stream
    elif location.startswith(("http://", "https://")):
        with _open_http(location) as stream:
            yield stream
    else:
        with _open_fsspec(location) as stream:
            yield stream


@contextmanager
def _open_pipe(command: str) -> Iterator[BinaryIO]:
    # Words go to the program as they are; no shell reads them.
    with _started(command) as process:
        assert process.stdout is not None
        yield cast(BinaryIO, process.stdout)
        process.stdout.read()
        if process.wait() != 0:
            raise AsrKdError(
                "the command failed", where=f"pipe:{command}", got=f"exit status {process.returncode}"
            )


def _started(command: str) -> subprocess.Popen[bytes]:
    where = f"pipe:{command}"
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise AsrKdError(f"malformed command: {error}", where=where) from None
    if not words:
        raise AsrKdError("no command", where=where, expected="pipe:program argument ...")
    try:
        return subprocess.Popen(words, stdout=subprocess.PIPE)  # noqa: S603  # the user's own
    except OSError as error:
        raise AsrKdError(f"the command cannot be run: {error.strerror}", where=where) from None


@contextmanager
def _open_http(url: str) -> Iterator[BinaryIO]:
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as response:  # noqa: S310  # http(s) alone comes here
            yield response
    except (urllib.error.URLError, TimeoutError, ConnectionError, http.client.HTTPException) as error:
        raise AsrKdError(f"cannot be read: {error}", where=url) from None


@contextmanager
def _open_fsspec(location: str) -> Iterator[BinaryIO]:
    try:
        opened = fsspec.open(location, "rb")
        with opened as stream:
            yield stream
    except (OSError, ValueError, ImportError) as error:
        if isinstance(error, AsrKdError):
            raise
        raise AsrKdError(f"cannot be read: {error}", where=location) from None


class FileSource:
    """Named files of one folder, local or remote, with a local cache of the remote ones.

    Args:
        location: Local folder, URL, or ``pipe:`` command with ``{}``.
        cache: Folder in which remote files are kept by their digest; None reads them anew each time.
    """

    def __init__(self, location: str | Path, cache: Path | None = None) -> None:
        self.location = str(location)
        self._cache = cache

    def where(self, name: str) -> str:
        """Return a file's full location."""
        return join(self.location, name)

    def local_size(self, name: str) -> int | None:
        """Return a local file's size in bytes, -1 when it is missing; None for a remote one."""
        if is_remote(self.location):
            return None
        path = Path(self.where(name))
        return path.stat().st_size if path.is_file() else -1

    def local_state(self, name: str) -> tuple[int, ...] | None:
        """Return what changes when a local file is written anew; None for a remote or missing one."""
        if is_remote(self.location) or not Path(self.where(name)).is_file():
            return None
        status = Path(self.where(name)).stat()
        return status.st_ino, status.st_size, status.st_mtime_ns

    @contextmanager
    def open(self, name: str, sha256: str | None = None) -> Iterator[BinaryIO]:
        """Open a file for reading in order; a remote one with a digest comes from the cache."""
        if self._cache is None or sha256 is None or not is_remote(self.location):
            with open_location(self.where(name)) as stream:
                yield stream
            return
        with self._cached(name, sha256).open("rb") as stream:
            yield stream

    def _cached(self, name: str, sha256: str) -> Path:
        assert self._cache is not None
        path = self._cache / f"{sha256}{Path(name).suffix}"
        if not path.is_file():
            with atomic_path(path) as temporary:
                # Left before the digest is compared: a command that failed is to say so itself.
                with open_location(self.where(name)) as stream, temporary.open("wb") as copy:
                    shutil.copyfileobj(stream, copy)
                if (got := file_sha256(temporary)) != sha256:
                    raise AsrKdError("checksum differs", where=self.where(name), expected=sha256, got=got)
        return path
