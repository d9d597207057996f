"""Write beside and rename, so that what exists under its final name is whole."""

from __future__ import annotations

import glob
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_HOST = os.uname().nodename
# More than a full disk has left.
_PROBE_BYTES = 1 << 20


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary file path beside ``path``; rename it there when the block succeeds."""
    temporary = _own_place(path)
    try:
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
        yield temporary
    finally:
        # What is still mapped cannot be removed on NFS; the next one does it.
        shutil.rmtree(temporary, ignore_errors=True)


def _own_place(path: Path) -> Path:
    """Return this process's place beside ``path``, once what killed processes left there is removed.

    What processes of another machine left is not touched: whether they still run cannot be seen from here.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    stem = f".{path.name}.{_HOST}."
    for found in path.parent.glob(f"{glob.escape(stem)}*.*"):
        process, _, ending = found.name.removeprefix(stem).partition(".")
        if process.isdecimal() and ending in ("tmp", "old") and not _is_running(int(process)):
            _remove(found)
    return path.with_name(f"{stem}{os.getpid()}.tmp")


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
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
    try:
        yield
    except Exception as error:
        if not isinstance(error, OSError):
            with path.open("ab") as stream:
                stream.write(bytes(_PROBE_BYTES))
        raise


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file atomically, indented and with a final newline."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")
