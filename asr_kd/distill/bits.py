"""Whole numbers of a few bits each, packed without gaps."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

Array = np.ndarray[Any, Any]

Data = bytes | memoryview


def bits_needed(num_values: int) -> int:
    """Return how many bits tell ``num_values`` values apart."""
    return max(1, (num_values - 1).bit_length())


def packed_bytes(num_values: int, width: int) -> int:
    """Return how many bytes :func:`pack_bits` gives."""
    return num_values * (width // 8) + (num_values * (width % 8) + 7) // 8


def pack_bits(values: Tensor, width: int) -> bytes:
    """Pack numbers: first their low bytes, one plane after another, then what is left bit by bit.

    Args:
        values: Integers ``[n]`` from 0 to ``2^width - 1``; they are packed on their device.
        width: Bits of each, at most 31.
    """
    values = values.to(torch.int32)
    planes = [plane_bytes(values, plane) for plane in range(width // 8)]
    rest = width % 8
    if rest:
        bits = (values >> (width - rest))[:, None] >> torch.arange(rest, device=values.device) & 1
        bits = functional.pad(bits.reshape(-1), (0, -bits.numel() % 8)).reshape(-1, 8)
        planes.append(plane_bytes((bits << torch.arange(8, device=values.device)).sum(1)))
    return b"".join(planes)


def plane_bytes(values: Tensor, plane: int = 0) -> bytes:
    """Return one byte of each integer, the lowest for plane 0."""
    data: bytes = ((values >> (8 * plane)) & 0xFF).to(torch.uint8).cpu().numpy().tobytes()
    return data


def unpack_bits(data: Tensor, first: Tensor, counts: Tensor, place: Tensor, width: int) -> Tensor:
    """Return the numbers that :func:`pack_bits` packed, those of several calls at once.

    Args:
        data: All bytes, uint8.
        first: Where the bytes of the call begin that a number was packed by, ``[n]``.
        counts: How many numbers that call packed, ``[n]``.
        place: Of a number among those of its call, ``[n]``.
        width: Bits of each.

    Returns:
        int32 ``[n]``.
    """
    num_planes, rest = divmod(width, 8)
    values = torch.zeros_like(place, dtype=torch.int32)
    for plane in range(num_planes):
        values |= data.index_select(0, first + plane * counts + place).int() << (8 * plane)
    if rest:
        # The bits of a number lie in two bytes; behind the last byte there is one more to read.
        data = functional.pad(data, (0, 1))
        byte = first + num_planes * counts + (place * rest >> 3)
        word = data.index_select(0, byte).int() | data.index_select(0, byte + 1).int() << 8
        values |= (word >> (place * rest & 7) & ((1 << rest) - 1)) << (8 * num_planes)
    return values
