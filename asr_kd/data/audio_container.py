"""Find cut WAV and Ogg files, which libsndfile reads as if what is there were the whole recording."""

from __future__ import annotations

import io
import struct
from typing import BinaryIO

from asr_kd.errors import AudioError

_UNKNOWN_WAV_SIZES = (0, 0x7FFFF000, 0x7FFFFFFF, 0xFFFFFFFF)
_GIB = 1 << 30
# Below 2 or 4 GiB: programs subtract the header, other chunks or the rest of a block from the limit.
_SIZES_NEAR_A_LIMIT = 1 << 16
_LARGEST_OGG_PAGE = 27 + 255 + 255 * 255


def check_whole(stream: BinaryIO, where: str) -> None:
    """Refuse a WAV with fewer bytes than its header states and an Ogg whose last page is cut.

    Args:
        stream: Open for reading at position 0; left there.
        where: Named in the error.

    Raises:
        AudioError: When the file is truncated.
    """
    head = stream.read(12)
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        _check_wav(stream, where)
    elif head[:4] == b"OggS":
        _check_ogg(stream, where)
    stream.seek(0)


def _check_wav(stream: BinaryIO, where: str) -> None:
    while len(chunk := stream.read(8)) == 8:
        (size,) = struct.unpack("<I", chunk[4:])
        position = stream.tell()
        if chunk[:4] == b"data":
            present = stream.seek(0, io.SEEK_END) - position
            if present < size and not _is_of_a_stream(size, present):
                raise _truncated(where, f"{size} bytes of samples, as the header says", present)
            return
        stream.seek(position + size + size % 2)


def _is_of_a_stream(size: int, present: int) -> bool:
    """Return whether a size was stated before it was known, as of a WAV that is written to a pipe."""
    is_near_a_limit = -size % (2 * _GIB) <= _SIZES_NEAR_A_LIMIT
    # A large file near a limit may well be one that is cut.
    return size in _UNKNOWN_WAV_SIZES or (is_near_a_limit and present < _GIB)


def _check_ogg(stream: BinaryIO, where: str) -> None:
    end = stream.seek(0, io.SEEK_END)
    stream.seek(max(0, end - 2 * _LARGEST_OGG_PAGE))
    tail = stream.read()
    page = tail[tail.rfind(b"OggS") :]
    num_segments = page[26] if len(page) > 26 else 0
    expected = 27 + num_segments + sum(page[27 : 27 + num_segments])
    if len(page) < expected or len(page) <= 27:
        raise _truncated(where, f"a last page of {expected} bytes", len(page))


def _truncated(where: str, expected: str, present: int) -> AudioError:
    return AudioError(
        "audio is truncated",
        where=where,
        expected=expected,
        got=present,
        hint="copy or download the file again",
    )
