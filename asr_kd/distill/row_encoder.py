"""Encoding of rows that come in parts, so that the posteriors of a long utterance need not lie in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor


class RowEncoder(Protocol):
    """Takes the rows of several utterances, one after another, and returns the bytes of each.

    Attributes:
        is_light: Whether what it holds is small and in the host's memory; it can be pickled then, and
            another process may finish it.
    """

    is_light: bool

    def add(self, log_q: Tensor) -> None:
        """Take the next rows ``[T, S]`` of log posteriors; utterances may begin and end anywhere in them."""

    def finish(self, lengths: Sequence[int], keys: Sequence[str]) -> list[bytes]:
        """Return the bytes of the utterances, which have so many rows; each key seeds what is random."""


class WholeRows:
    """Keeps the rows until an utterance is encoded as a whole.

    Args:
        encode: Returns the bytes of an utterance's log posteriors, given its key.
    """

    is_light = False

    def __init__(self, encode: Callable[[Tensor, str], bytes]) -> None:
        self._encode = encode
        self._parts: list[Tensor] = []

    def add(self, log_q: Tensor) -> None:
        """Keep the next rows; their memory must not be used again."""
        self._parts.append(log_q)

    def finish(self, lengths: Sequence[int], keys: Sequence[str]) -> list[bytes]:
        """Return the bytes of the utterances."""
        utterances = torch.split(torch.cat(self._parts), list(lengths))
        return [self._encode(log_q, key) for log_q, key in zip(utterances, keys, strict=True)]
