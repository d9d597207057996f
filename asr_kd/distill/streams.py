"""Streams of small whole numbers as bytes: planes of bytes, each under zstd where it pays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from asr_kd.distill.bits import Array, Data, plane_bytes
from asr_kd.distill.compress import compress, decompress


def pack_streams(streams: Sequence[Tensor]) -> bytes:
    """Return numbers of at least 0, below 2^31, as bytes; streams with like statistics pack best."""
    out = bytearray()
    for values in streams:
        num_planes = (int(values.max()).bit_length() + 7) // 8 if len(values) else 0
        out += _varint(len(values))
        out.append(num_planes)
        for plane in range(num_planes):
            data = compress(plane_bytes(values, plane))
            out += _varint(len(data))
            out += data
    return bytes(out)


def read_streams(reader: Reader, num_streams: int, max_values: int) -> list[Array]:
    """Return the next streams that :func:`pack_streams` packed, uint8 or, of large values, int32 ``[n]``.

    Args:
        reader: Of the bytes.
        num_streams: How many were packed.
        max_values: No stream is longer.

    Raises:
        ValueError: When the bytes are damaged.
    """
    return [_stream(reader, max_values) for _ in range(num_streams)]


class Reader:
    """Takes bytes from the front of some data."""

    def __init__(self, data: Data) -> None:
        self.data = data
        self.place = 0

    def finish(self) -> None:
        """Refuse bytes that nobody has taken."""
        if self.place != len(self.data):
            raise ValueError(f"{len(self.data) - self.place} bytes too many")

    def take(self, count: int) -> Data:
        """Return the next bytes."""
        part = self.data[self.place : self.place + count]
        if len(part) != count:
            raise ValueError("the bytes end too early")
        self.place += count
        return part

    def varint(self) -> int:
        """Return the next number of variable length."""
        value = 0
        for shift in range(0, 35, 7):
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
        raise ValueError("a length is damaged")


def _stream(reader: Reader, max_values: int) -> Array:
    num_values = reader.varint()
    num_planes = reader.take(1)[0]
    if num_values > max_values or num_planes > 4:
        raise ValueError("a stream's length is damaged")
    planes = []
    for _ in range(num_planes):
        plain = decompress(reader.take(reader.varint()), num_values)
        if len(plain) != num_values:
            raise ValueError(f"a stream of {num_values} values has {len(plain)}")
        planes.append(np.frombuffer(plain, dtype=np.uint8))
    if num_planes == 1:
        return planes[0]
    values = np.zeros(num_values, dtype=np.int32)
    for place, plane in enumerate(planes):
        values |= plane.astype(np.int32) << (8 * place)
    if num_values and int(values.min()) < 0:
        raise ValueError("a stream's value is damaged")
    return values


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
