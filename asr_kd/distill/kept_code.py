"""Codes that keep the most probable senones: a fixed number, a share of the mass, or all above a level."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from asr_kd.distill.bits import Array, Data
from asr_kd.distill.damage import Damage
from asr_kd.distill.entries import PADDING, Entries, entries_in_rows
from asr_kd.distill.largest import largest
from asr_kd.distill.packing import pack_entries, read_entries
from asr_kd.distill.parts import exclusive_sums, restarted_sums, utterance_of_each
from asr_kd.distill.quantise import LogGrid, MassGrid
from asr_kd.distill.row_encoder import RowEncoder
from asr_kd.distill.streams import Reader, pack_streams, read_streams
from asr_kd.distill.targets import SoftTargets

_SAME_POWER = 1e-4
"""Relative; people write 0.6667 for 2/3, and what that changes is far below a step of the codes."""


class _Kept(BaseModel):
    """What these codes share.

    Attributes:
        tail: What becomes of the mass of senones that are not kept: kept as one extra class, or given to the
            kept ones in proportion (biased, as other toolkits do), or dropped (biased too).
        steps: Levels an octave of the kept probabilities.
        powers: Powers ``T / T'`` for which the tail's mass is stored too, so that the student may be trained
            at other temperatures T' than the stored T: ``[0.5]`` for twice the temperature; four digits do.
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

    A kept probability is rounded to a level of :class:`LogGrid`, ``2^(1 / steps)`` apart, a tied best one to
    the next above it; rows are normalised then, and the tail is off by what :class:`MassGrid` says.
    Probabilities below the lowest level belong to the tail. The most probable senone stays the most probable
    one.
    """

    def __init__(self, config: TopK | Nucleus | Threshold, num_senones: int) -> None:
        self.config = config
        self.num_senones = num_senones
        self._k = min(config.k, num_senones)
        self._grid = LogGrid(config.steps)
        assert self._grid.num_codes <= PADDING
        # A damaged code has no level, which its row's sum shows.
        self._levels = torch.full((256,), math.nan)
        self._levels[: self._grid.num_codes] = self._grid.levels()
        self._levels[PADDING] = 0.0
        self._masses = MassGrid()
        self._mass_of_code = self._masses.masses(torch.arange(256))
        self._has_tail = config.tail != "renormalise"
        # Below half a step under the lowest level everything belongs to the tail; the margin is for rounding.
        self._floor = math.log(self._grid.least) - math.log(2) / config.steps
        if isinstance(config, Threshold):
            self._floor = max(self._floor, math.log(config.least) - 1e-3)
        self._id_type = torch.int16 if num_senones <= 2**15 else torch.int32

    @property
    def max_kept(self) -> int:
        """Columns of the decoded targets."""
        return self._k

    def encode(self, log_q: Tensor, key: str) -> bytes:
        """Return the bytes of log posteriors ``[T, S]``."""
        rows = self.rows()
        rows.add(log_q)
        return rows.finish([len(log_q)], [key])[0]

    def rows(self) -> RowEncoder:
        """Return an encoder of rows that come in parts."""
        return _KeptRows(self)

    def pack(self, entries: Entries, tails: Sequence[Tensor], num_frames: int) -> bytes:
        """Return the bytes of one utterance from what :meth:`select` chose."""
        data = pack_entries(entries, num_frames, self.num_senones)
        return data + pack_streams([tail.diff(prepend=tail.new_zeros(1)) & 0xFF for tail in tails])

    def select(self, log_q: Tensor) -> tuple[Tensor, ...]:
        """Return frames, ids and codes of the entries, and the codes of the tails, on the input's device."""
        log_q = log_q.float()
        top, ids = largest(log_q, self._k, self._floor)  # [T, K]
        codes = self._grid.nearest(top)
        codes[:, 0].clamp_(max=self._grid.num_codes - 1)
        kept = self._kept(top) & (codes < self._grid.num_codes)
        if self._k > 1:
            tied = kept[:, 1] & (codes[:, 1] == codes[:, 0])
            codes[:, 0] -= tied.int()
        frames, places = kept.nonzero(as_tuple=True)
        powers = (1.0, *self.config.powers) if self._has_tail else ()
        tails = [self._tail(log_q, top, kept, power) for power in powers]
        return frames, ids[frames, places], codes[frames, places], *tails

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
        if not self._has_tail or self._place(power) is not None:
            return None
        stored = list(self.config.powers) or "none"
        return f"tails are not stored for the power T / T' = {power:g} (code.powers: {stored})"

    def decode(self, data: Data, num_frames: int, power: float = 1.0) -> SoftTargets:
        """Return targets of T frames, float16; the kept senones of a row are sorted by id."""
        return self.decode_batch([data], [num_frames], power)

    def decode_batch(
        self,
        data: Sequence[Data],
        lengths: Sequence[int],
        power: float = 1.0,
        damage: Damage | None = None,
    ) -> SoftTargets:
        """Return the targets of several utterances, one after another."""
        damage = damage or Damage()
        readers = [Reader(each) for each in data]
        num_frames = sum(lengths)
        entries = read_entries(readers, lengths, self.num_senones, self._k, damage)
        tail = self._read_tails(readers, lengths, power, damage) if self._has_tail else None
        for reader in readers:
            reader.finish()
        rows = entries_in_rows(entries, num_frames, self._k, damage)
        levels = self._levels if power == 1 else self._levels**power
        probs = levels.to(damage.device).index_select(0, rows.codes.reshape(-1)).reshape(num_frames, self._k)
        # Sums of float16 numbers are exact in float64, and so the same on every device.
        mass = probs.sum(1, dtype=torch.float64).float()
        damage.refuse((rows.counts == 0) | mass.isnan(), "a frame without senones, or an unknown level")
        share = 1 / mass
        if tail is not None:
            share *= 1 - tail
        probs *= share[:, None]
        stored = tail if tail is not None and self.config.tail == "class" else None
        return SoftTargets(
            probs.half(), rows.ids.to(self._id_type), None if stored is None else stored.half()
        )

    def _read_tails(
        self, readers: Sequence[Reader], lengths: Sequence[int], power: float, damage: Damage
    ) -> Tensor:
        """Return the masses of the tails at a power ``[T]``."""
        place = self._place(power)
        assert place is not None
        steps = []
        for reader, length in zip(readers, lengths, strict=True):
            tails = read_streams(reader, 1 + len(self.config.powers), length)
            if any(len(tail) != length for tail in tails):
                raise ValueError(f"{length} tails expected")
            steps.append(tails[place])
        counts = damage.moved([np.array(lengths, dtype=np.int32)])
        utterance = utterance_of_each(counts, sum(lengths))
        codes = restarted_sums(damage.moved(steps), exclusive_sums(counts), utterance) & 0xFF
        return self._mass_of_code.to(damage.device).index_select(0, codes)

    def _place(self, power: float) -> int | None:
        """Return which of the stored tails are those at a power, or None when none are."""
        known = enumerate((1.0, *self.config.powers))
        return next(
            (place for place, value in known if math.isclose(power, value, rel_tol=_SAME_POWER)), None
        )


class _KeptRows:
    """Chooses senones part by part, so that no dense row is kept, and packs utterance by utterance."""

    is_light = True

    def __init__(self, code: KeptCode) -> None:
        self._code = code
        self._parts: list[list[Tensor]] = []
        self._num_rows = 0

    def add(self, log_q: Tensor) -> None:
        frames, *rest = self._code.select(log_q)
        # Packing is many small steps: not for a GPU.
        self._parts.append([part.cpu() for part in (frames + self._num_rows, *rest)])
        self._num_rows += len(log_q)

    def __reduce__(self) -> tuple[Any, ...]:
        # Not torch's way of giving tensors to a process, which has a file for each.
        columns = [torch.cat(column).numpy() for column in zip(*self._parts, strict=True)]
        return _restored, (self._code.config, self._code.num_senones, columns, self._num_rows)

    def finish(self, lengths: Sequence[int], keys: Sequence[str]) -> list[bytes]:
        assert sum(lengths) == self._num_rows
        frames, ids, codes, *tails = (torch.cat(column) for column in zip(*self._parts, strict=True))
        ends = torch.tensor(lengths).cumsum(0)
        # The entries' frames rise.
        last = torch.searchsorted(frames, ends).tolist()
        data = []
        for begin, end, after, length in zip([0, *last[:-1]], last, ends.tolist(), lengths, strict=True):
            first = after - length
            entries = Entries(frames[begin:end] - first, ids[begin:end], codes[begin:end])
            data.append(self._code.pack(entries, [tail[first:after] for tail in tails], length))
        return data


def _restored(
    config: TopK | Nucleus | Threshold, num_senones: int, columns: Sequence[Array], num_rows: int
) -> _KeptRows:
    rows = _KeptRows(KeptCode(config, num_senones))
    rows._parts = [[torch.from_numpy(column) for column in columns]]
    rows._num_rows = num_rows
    return rows
