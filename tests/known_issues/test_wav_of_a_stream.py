"""WAV files that SoX and others wrote to a pipe were refused as truncated: their headers state some size just
below 2 or 4 GiB, for that of a stream is not known.
"""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from asr_kd.data.audio import load_audio
from asr_kd.errors import AudioError

GIB = 1 << 30


def _header(data_size: int, block: int = 2) -> bytes:
    riff_size = min(data_size + 36, 0xFFFFFFFF)
    layout = struct.pack("<IHHIIHH", 16, 1, block // 2, 8000, 8000 * block, block, 16)
    return (
        struct.pack("<4sI8s", b"RIFF", riff_size, b"WAVEfmt ")
        + layout
        + struct.pack("<4sI", b"data", data_size)
    )


@pytest.mark.parametrize(
    ("size", "block"),
    [
        (0x7FFFF000, 2),  # SoX
        (0x7FFFF000 // 12 * 12, 12),  # SoX, whole blocks of six channels
        (0x7FFFFFFF - 36, 2),
        (0x80000000, 2),
        (0xFFFFFFFF - 36, 2),
        (0xFFFFFFFF - 36 - 26, 2),  # and a chunk LIST
    ],
)
def test_is_read_to_its_end(size: int, block: int) -> None:
    assert load_audio(_header(size, block) + bytes(100 * block)).num_samples == 100


@pytest.mark.parametrize("size", [2 * GIB - 60_000, 4 * GIB - 60_000])
def test_a_large_file_that_is_cut_is_still_refused(tmp_path: Path, size: int) -> None:
    path = tmp_path / "long.wav"
    with path.open("wb") as stream:
        stream.write(_header(size))
        stream.truncate(GIB + GIB // 2)  # takes no room on the disk
    with pytest.raises(AudioError, match=r"long\.wav: audio is truncated"):
        load_audio(path)


def test_a_file_that_is_cut_further_from_the_limit_is_still_refused() -> None:
    with pytest.raises(AudioError, match="audio is truncated"):
        load_audio(_header(2 * GIB - 100_000) + bytes(200))
