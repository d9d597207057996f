"""Whole numbers of a few bits each, packed without gaps."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

Data = bytes | memoryview


def bits_needed(num_values: int) -> int:
    """Return how many bits tell ``num_values`` values apart."""
    return max(1, (num_values - 1).bit_length())


def packed_bytes(num_values: int, width: int) -> int:
    """Return how many bytes :func:`pack_bits` gives."""
    return num_values * (width // 8) + (num_values * (width % 8) + 7) // 8


def pack_bits(values: Array, width: int) -> bytes:
    """Pack numbers: first their low bytes, one plane after another, then what is left bit by bit.

    Args:
        values: Integers ``[n]`` from 0 to ``2^width - 1``.
        width: Bits of each, at most 31.
    """
    values = values.astype(np.uint32)
    planes = [((values >> (8 * plane)) & 0xFF).astype(np.uint8).tobytes() for plane in range(width // 8)]
    rest = width % 8
    if rest:
        bits = (values >> (width - rest))[:, None] >> np.arange(rest, dtype=np.uint32) & 1  # [n, rest]
        planes.append(np.packbits(bits.astype(np.uint8).reshape(-1), bitorder="little").tobytes())
    return b"".join(planes)


def unpack_bits(data: Data, num_values: int, width: int) -> Array:
    """Return the numbers that :func:`pack_bits` packed, int32 ``[n]``."""
    values = np.zeros(num_values, dtype=np.int32)
    num_planes, rest = divmod(width, 8)
    for plane in range(num_planes):
        low = np.frombuffer(data, np.uint8, num_values, plane * num_values)
        values |= low.astype(np.int32) << (8 * plane)
    if rest:
        packed = np.frombuffer(data, np.uint8, offset=num_planes * num_values)
        values |= _unpack_rest(packed, num_values, rest).astype(np.int32) << (8 * num_planes)
    return values


def _unpack_rest(packed: Array, num_values: int, rest: int) -> Array:
    """Return numbers of ``rest`` bits, at most 7: eight fill ``rest`` bytes and are read as one word."""
    num_words = -(-num_values // 8)
    whole = np.zeros(num_words * rest, dtype=np.uint8)
    whole[: len(packed)] = packed
    words = np.zeros((num_words, 8), dtype=np.uint8)
    words[:, :rest] = whole.reshape(num_words, rest)
    shifts = np.arange(8, dtype=np.uint64) * np.uint64(rest)
    values: Array = (words.view("<u8") >> shifts) & np.uint64((1 << rest) - 1)  # [words, 8]
    return values.reshape(-1)[:num_values]
