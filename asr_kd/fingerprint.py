"""Content fingerprints of settings and files, and settings that leave them as they are."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from pydantic import Field

_CHUNK_BYTES = 1 << 20


def fingerprint(value: Any) -> str:
    """Return 16 hex digits that depend on a JSON-like value alone (key order does not matter).

    Raises:
        TypeError: For a value that JSON does not know, whose text might differ between processes.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def unless(usual: Any) -> Any:
    """Return a pydantic field that a dump leaves out while it has its usual value.

    What was made before a setting came keeps its fingerprint, and a file that does not use it its bytes.

    Args:
        usual: Its default.
    """
    return Field(usual, exclude_if=lambda value: value == usual)


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes as 64 hex digits."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
