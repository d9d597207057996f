"""Text files that others wrote: UTF-8, with or without a byte order mark."""

from __future__ import annotations

from pathlib import Path

from asr_kd.errors import AsrKdError


def read_utf8(path: Path, error: type[AsrKdError]) -> str:
    """Return a file's text without its byte order mark.

    Args:
        path: The file.
        error: Raised for bytes that are no UTF-8; a file that is missing is the system's error.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as found:
        raise error(f"not UTF-8 ({found.reason})", where=path, hint="convert the file") from None
