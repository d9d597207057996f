"""zstd where it pays, with one byte that says whether it did."""

from __future__ import annotations

import threading

import zstandard

from asr_kd.distill.bits import Data

_RAW, _ZSTD = b"\0", b"\1"
_LEVEL = 12
_FORMAT = zstandard.FORMAT_ZSTD1_MAGICLESS
_LOCAL = threading.local()


def compress(data: bytes) -> bytes:
    """Return the data compressed, or as it is when that is shorter."""
    if not hasattr(_LOCAL, "compressor"):
        # Neither checksum nor size: the shard has the one and the code knows the other.
        parameters = zstandard.ZstdCompressionParameters.from_level(
            _LEVEL, format=_FORMAT, write_content_size=False, write_checksum=False, write_dict_id=False
        )
        _LOCAL.compressor = zstandard.ZstdCompressor(compression_params=parameters)
    packed: bytes = _LOCAL.compressor.compress(data)
    return _ZSTD + packed if len(packed) < len(data) else _RAW + data


def decompress(data: Data, max_bytes: int) -> Data:
    """Return what :func:`compress` was given.

    Raises:
        ValueError: When the data is damaged or holds more than ``max_bytes``.
    """
    if data[:1] == _RAW:
        return data[1:]
    if data[:1] != _ZSTD:
        raise ValueError("neither raw nor zstd")
    if not hasattr(_LOCAL, "decompressor"):
        _LOCAL.decompressor = zstandard.ZstdDecompressor(format=_FORMAT)
    try:
        plain: bytes = _LOCAL.decompressor.decompress(data[1:], max_output_size=max_bytes)
    except zstandard.ZstdError as error:
        raise ValueError(f"zstd: {error}") from None
    return plain
