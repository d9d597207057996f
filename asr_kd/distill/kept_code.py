"""Codes that keep the most probable senones: a fixed number, a share of the mass, or all above a level."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from asr_kd.distill.entries import Entries, place_in_rows
from asr_kd.distill.packing import pack_entries, read_entries
from asr_kd.distill.quantise import LogGrid, MassGrid
from asr_kd.distill.streams import Reader, pack_streams, read_streams
from asr_kd.distill.targets import SoftTargets


class _Kept(BaseModel):
    """What these codes share.

    Attributes:
        tail: What becomes of the mass of senones that are not kept: kept as one extra class, or given to the
            kept ones in proportion (biased, as other toolkits do), or dropped (biased too).
        steps: Levels an octave of the kept probabilities.
        powers: Powers ``T / T'`` for which the tail's mass is stored too, so that the student may be trained
            at other temperatures T' than the stored T: ``[0.5]`` for twice the temperature.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tail: Literal["class", "renormalise", "dropped"] = "class"
    steps: int = Field(default=8, ge=1, le=16)
    powers: tuple[Annotated[float, Field(gt=0)], ...] = ()


class TopK(_Kept):
    """The ``k`` most probable senones of each frame."""

    name: Literal["topk"] = "topk"
    k: int = Field(default=20, ge=1)


class Nucleus(_Kept):
    """The fewest senones that hold mass ``p``, at most ``k``."""

    name: Literal["nucleus"] = "nucleus"
    p: float = Field(default=0.9, gt=0, le=1)
    k: int = Field(default=64, ge=1)


class Threshold(_Kept):
    """The senones of probability ``least`` or more, at most ``k`` and at least one.

    Of all sets of a total size over many frames, this one holds the most mass.
    """

    name: Literal["threshold"] = "threshold"
    least: float = Field(default=0.001, gt=0, lt=1)
    k: int = Field(default=64, ge=1)


class KeptCode:
    """Encodes kept senones with quantised probabilities and the quantised mass of the tail.

    A decoded probability is off by a factor of at most ``2^(1 / steps)``, and by what :class:`MassGrid` says
    of the tail. Probabilities below the lowest level of :class:`LogGrid` belong to the tail. The most
    probable senone stays the most probable one.
    """

    def __init__(self, config: TopK | Nucleus | Threshold, num_senones: int) -> None:
        self.config = config
        self.num_senones = num_senones
        self._k = min(config.k, num_senones)
        self._grid = LogGrid(config.steps)
        self._levels = self._grid.levels().numpy()
        self._masses = MassGrid()
        self._has_tail = config.tail != "renormalise"
        self._id_type = np.int16 if num_senones <= 2**15 else np.int32

    @property
    def max_kept(self) -> int:
        """Columns of the decoded targets."""
        return self._k

    def encode(self, log_q: Tensor, key: str) -> bytes:
        """Return the bytes of log posteriors ``[T, S]``."""
        log_q = log_q.float()
        top, ids = log_q.topk(self._k, dim=1)  # [T, K]
        codes = self._grid.nearest(top)
        codes[:, 0].clamp_(max=self._grid.num_codes - 1)
        kept = self._kept(top) & (codes < self._grid.num_codes)
        if self._k > 1:
            tied = kept[:, 1] & (codes[:, 1] == codes[:, 0])
            codes[:, 0] -= tied.int()
        frames, places = kept.nonzero(as_tuple=True)
        parts = (part.cpu().numpy() for part in (frames, ids[frames, places], codes[frames, places]))
        data = pack_entries(Entries(*parts), len(log_q), self.num_senones)
        if not self._has_tail:
            return data
        tails = [self._tail(log_q, top, kept, power).cpu().numpy() for power in (1.0, *self.config.powers)]
        return data + pack_streams([np.diff(tail, prepend=0) & 0xFF for tail in tails])

    def _tail(self, log_q: Tensor, top: Tensor, kept: Tensor, power: float) -> Tensor:
        """Return the codes of the tails' masses ``[T]`` in the posteriors raised to a power."""
        total = 0.0 if power == 1 else (power * log_q).logsumexp(1, keepdim=True)  # rows sum to 1 at power 1
        mass = ((power * top - total).exp() * kept).sum(1)
        # The last code would leave the kept senones nothing to share.
        return self._masses.nearest(1 - mass).clamp_(max=254)

    def _kept(self, top: Tensor) -> Tensor:
        """Return which of the most probable senones ``[T, K]`` are kept; the first always is."""
        kept = torch.ones_like(top, dtype=torch.bool)
        if isinstance(self.config, Nucleus):
            mass = top.exp().cumsum(1)
            kept[:, 1:] = mass[:, :-1] < self.config.p
        elif isinstance(self.config, Threshold):
            kept[:, 1:] = top[:, 1:].exp() >= self.config.least
        return kept

    def refusal(self, power: float) -> str | None:
        """Return why posteriors cannot be decoded at a power, or None when they can."""
        if (
            power == 1
            or not self._has_tail
            or any(math.isclose(power, known) for known in self.config.powers)
        ):
            return None
        stored = list(self.config.powers) or "none"
        return f"tails are not stored for the power T / T' = {power:g} (code.powers: {stored})"

    def decode(self, data: bytes, num_frames: int, power: float = 1.0) -> SoftTargets:
        """Return targets of T frames, float16; the kept senones of a row are sorted by id."""
        reader = Reader(data)
        entries = read_entries(reader, num_frames, self.num_senones, num_frames * self._k)
        tails = read_streams(reader, 1 + len(self.config.powers), num_frames) if self._has_tail else []
        reader.finish()
        if any(len(tail) != num_frames for tail in tails):
            raise ValueError(f"{num_frames} tails expected")
        places = place_in_rows(entries.frames, num_frames, self._k)
        if not places.counts.all() or int(entries.codes.max()) >= self._grid.num_codes:
            raise ValueError("a frame without senones, or an unknown level")
        levels = self._levels if power == 1 else self._levels**power
        probs = np.zeros((num_frames, self._k), dtype=np.float32)
        probs.reshape(-1)[places.flat] = levels[entries.codes[places.order]]
        ids = np.zeros(probs.shape, dtype=self._id_type)
        ids.reshape(-1)[places.flat] = entries.ids[places.order]
        share = 1 / probs.sum(1)
        tail = None
        if tails:
            tail = self._masses.masses(torch.from_numpy(tails[self._place(power)].cumsum() & 0xFF))
            share *= 1 - tail.numpy()
        kept = torch.from_numpy(probs * share[:, None]).half()
        stored = tail.half() if tail is not None and self.config.tail == "class" else None
        return SoftTargets(kept, torch.from_numpy(ids), stored)

    def _place(self, power: float) -> int:
        known = (1.0, *self.config.powers)
        return next(place for place, value in enumerate(known) if math.isclose(power, value))
