"""The k most probable senones of each frame, and what becomes of the rest."""

from __future__ import annotations

import math
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from asr_kd.distill.bits import bits_needed, pack_bits, packed_bytes, unpack_bits
from asr_kd.distill.compress import compress, decompress
from asr_kd.distill.quantise import LogQuantiser, MassQuantiser
from asr_kd.distill.targets import SoftTargets

_TIE = 1 + 2**-9
"""Keeps the most probable senone in front of one with the same code; float16 can tell them apart."""


class TopK(BaseModel):
    """The k most probable senones, their ratios to the first quantised on a logarithmic scale.

    Attributes:
        k: Senones kept of a frame.
        tail: What becomes of the others' mass: kept as one extra class, or given to the kept ones in
            proportion (biased, as other toolkits do), or dropped (biased too).
        value_bits: Of one quantised ratio.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Literal["topk"] = "topk"
    k: int = Field(default=20, ge=1)
    tail: Literal["class", "renormalise", "dropped"] = "class"
    value_bits: int = Field(default=8, ge=2, le=8)


class TopKCode:
    """Encodes ids bit by bit, ratios and tails as codes, most probable senone first, under zstd.

    A ratio to the row's first is off by at most half a step of :class:`LogQuantiser` (2.2 % at 8 bits), what
    is below 2^-16 of it moves to the tail; a tail is off by what :class:`MassQuantiser` says.
    """

    def __init__(self, config: TopK, num_senones: int) -> None:
        self.config = config
        self.num_senones = num_senones
        self._k = min(config.k, num_senones)
        self._id_bits = bits_needed(num_senones)
        self._ratios = LogQuantiser(config.value_bits)
        self._tails = MassQuantiser()
        self._has_tail = config.tail != "renormalise"
        self._id_type = torch.int16 if num_senones <= 2**15 else torch.int32

    @property
    def max_kept(self) -> int:
        """Columns of the decoded targets."""
        return self._k

    def encode(self, log_q: Tensor, key: str) -> bytes:
        """Return the bytes of log posteriors ``[T, S]``."""
        top, ids = log_q.float().topk(self._k, dim=1)  # [T, K]
        codes = self._ratios.encode((top - top[:, :1]) / math.log(2))
        kept = codes != self._ratios.zero_code
        ids = torch.where(kept, ids, ids[:, :1])
        streams = [
            pack_bits(ids.T.reshape(-1), self._id_bits),
            pack_bits(codes[:, 1:].T.reshape(-1), self.config.value_bits),
        ]
        if self._has_tail:
            tail = 1 - (top.exp() * kept).sum(1)
            streams.append(self._tails.encode(tail).to(torch.uint8))
        return compress(torch.cat(streams).cpu().numpy().tobytes())

    def decode(self, data: bytes, num_frames: int) -> SoftTargets:
        """Return targets of T frames, most probable senone first."""
        sizes = [
            packed_bytes(num_frames * self._k, self._id_bits),
            packed_bytes(num_frames * (self._k - 1), self.config.value_bits),
            num_frames * self._has_tail,
        ]
        plain = decompress(data, sum(sizes))
        if len(plain) != sum(sizes):
            raise ValueError(f"{sum(sizes)} bytes expected, got {len(plain)}")
        id_bytes, code_bytes, tail_bytes = torch.split(
            torch.frombuffer(bytearray(plain), dtype=torch.uint8), sizes
        )
        ids = unpack_bits(id_bytes, num_frames * self._k, self._id_bits).reshape(self._k, num_frames).T
        codes = unpack_bits(code_bytes, num_frames * (self._k - 1), self.config.value_bits)
        ratios = torch.ones(num_frames, self._k)
        ratios[:, 1:] = self._ratios.decode(codes).reshape(self._k - 1, num_frames).T
        if self._k > 1:
            ratios[:, 0] = torch.where(ratios[:, 1] == 1, _TIE, 1.0)
        return self._normalised(ids, ratios, tail_bytes)

    def _normalised(self, ids: Tensor, ratios: Tensor, tail_codes: Tensor) -> SoftTargets:
        probs = ratios / ratios.sum(1, keepdim=True)
        ids = ids.to(self._id_type).contiguous()
        if not self._has_tail:
            return SoftTargets(probs.half(), ids)
        tail = self._tails.decode(tail_codes)
        probs = (probs * (1 - tail)[:, None]).half()
        return SoftTargets(probs, ids, tail.half() if self.config.tail == "class" else None)
