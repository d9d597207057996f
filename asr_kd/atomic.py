"""Write beside and rename, so that what exists under its final name is whole."""

from __future__ import annotations

import fcntl
import glob
import json
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

_HOST = os.uname().nodename
# More than a full disk has left.
_PROBE_BYTES = 1 << 20
# Of any new file, less the umask.
_FILE_MODE = 0o666


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary file path beside ``path``; rename it there when the block succeeds."""
    temporary = _own_place(path)
    try:
        with _locked(temporary, os.O_RDWR | os.O_CREAT):
            yield temporary
            with temporary.open("rb") as stream:
                os.fsync(stream.fileno())
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_dir(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside ``path``; put it in place of ``path`` when the block succeeds."""
    with temporary_dir(path) as temporary:
        yield temporary
        if path.exists():
            old = temporary.with_suffix(".old")
            shutil.rmtree(old, ignore_errors=True)
            path.rename(old)
            temporary.rename(path)
            shutil.rmtree(old)
        else:
            temporary.rename(path)


@contextmanager
def temporary_dir(path: Path) -> Iterator[Path]:
    """Yield an empty folder beside ``path``, under a name of this process's own; remove it in the end."""
    temporary = _own_place(path)
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        with _locked(temporary, os.O_RDONLY):
            yield temporary
    finally:
        # What is still mapped cannot be removed on NFS; the next one does it.
        shutil.rmtree(temporary, ignore_errors=True)


def _own_place(path: Path) -> Path:
    """Return this process's place beside ``path``, once what killed processes left there is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for ending in ("tmp", "old"):
        for found in path.parent.glob(f".{glob.escape(path.name)}.*.{ending}"):
            if _is_left(found):
                _remove(found)
    return path.with_name(f".{path.name}.{_HOST}.{os.getpid()}.tmp")


@contextmanager
def _locked(path: Path, flags: int) -> Iterator[None]:
    """Hold a lock, by which a process of any machine or container sees that somebody still writes here."""
    descriptor = os.open(path, flags, _FILE_MODE)
    try:
        with suppress(OSError):  # no locks on this file system: nothing is ever removed there
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def _is_left(path: Path) -> bool:
    """Return whether nobody holds the lock of a temporary file or folder any more."""
    try:
        descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def plain_errors(path: Path) -> Iterator[None]:
    """Let a library that writes ``path`` fail as Python does: torch and safetensors hide that a disk is full.

    Raises:
        OSError: In place of the library's own error, when no more can be written to the file.
    """
    with errors_of(path):
        try:
            yield
        except Exception as error:
            if not isinstance(error, OSError):
                with path.open("ab") as stream:
                    stream.write(bytes(_PROBE_BYTES))
            raise


@contextmanager
def errors_of(path: Path) -> Iterator[None]:
    """Name ``path`` in an error of writing: that of an open file, such as of a full disk, does not know it.

    Raises:
        OSError: The system's, with the path.
    """
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise


@contextmanager
def usual_mode(path: Path) -> Iterator[None]:
    """Let a library write ``path`` with the permissions of any new file: safetensors denies it to others."""
    path.touch()
    mode = stat.S_IMODE(path.stat().st_mode)
    yield
    path.chmod(mode)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    with errors_of(path), atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file atomically, indented and with a final newline."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")
