"""Whole numbers of a few bits each, packed without gaps, on any device."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def bits_needed(num_values: int) -> int:
    """Return how many bits tell ``num_values`` values apart."""
    return max(1, (num_values - 1).bit_length())


def packed_bytes(num_values: int, width: int) -> int:
    """Return how many bytes :func:`pack_bits` gives."""
    return num_values * (width // 8) + (num_values * (width % 8) + 7) // 8


def byte_tensor(data: bytes) -> Tensor:
    """Return bytes as a uint8 tensor, a copy."""
    return torch.from_numpy(np.frombuffer(data, dtype=np.uint8).copy())


def pack_bits(values: Tensor, width: int) -> Tensor:
    """Pack numbers: first their low bytes, one plane after another, then what is left bit by bit.

    Args:
        values: Integers ``[n]`` from 0 to ``2^width - 1``.
        width: Bits of each, at most 31.

    Returns:
        uint8 ``[packed_bytes(n, width)]``.
    """
    values = values.to(torch.int32)
    planes = [((values >> (8 * plane)) & 0xFF).to(torch.uint8) for plane in range(width // 8)]
    rest = width % 8
    if rest:
        shifts = torch.arange(rest, device=values.device, dtype=torch.int32)
        bits = ((values >> (width - rest))[:, None] >> shifts) & 1  # [n, rest]
        planes.append(_bits_to_bytes(bits.reshape(-1)))
    return torch.cat(planes) if planes else values.to(torch.uint8)


def unpack_bits(data: Tensor, num_values: int, width: int) -> Tensor:
    """Return the numbers that :func:`pack_bits` packed, int32 ``[n]``."""
    values = torch.zeros(num_values, dtype=torch.int32, device=data.device)
    num_planes, rest = divmod(width, 8)
    for plane in range(num_planes):
        values += data[plane * num_values : (plane + 1) * num_values].to(torch.int32) << (8 * plane)
    if rest:
        bits = _bytes_to_bits(data[num_planes * num_values :])[: num_values * rest].reshape(num_values, rest)
        shifts = torch.arange(rest, device=data.device, dtype=torch.int32)
        values += (bits.to(torch.int32) << shifts).sum(1, dtype=torch.int32) << (8 * num_planes)
    return values


def _bits_to_bytes(bits: Tensor) -> Tensor:
    padded = torch.nn.functional.pad(bits, (0, -len(bits) % 8)).reshape(-1, 8)
    shifts = torch.arange(8, device=bits.device, dtype=torch.int32)
    return (padded << shifts).sum(1).to(torch.uint8)


def _bytes_to_bits(data: Tensor) -> Tensor:
    shifts = torch.arange(8, device=data.device, dtype=torch.uint8)
    return ((data[:, None] >> shifts) & 1).reshape(-1)
