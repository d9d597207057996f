"""An unbiased sparse code: the expectation of what is decoded is the dense row."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from asr_kd.distill.bits import Data
from asr_kd.distill.damage import Damage
from asr_kd.distill.entries import PADDING, Entries, entries_in_rows
from asr_kd.distill.packing import pack_entries, read_entries
from asr_kd.distill.quantise import LogGrid
from asr_kd.distill.row_encoder import RowEncoder, WholeRows
from asr_kd.distill.streams import Reader, pack_streams, read_streams
from asr_kd.distill.targets import SoftTargets

_SAMPLED = 255
"""Code of a senone that stands for the frame's threshold and not for a level."""

_ELEMENTS_AT_ONCE = 1 << 20


class Sampled(BaseModel):
    """``k`` senones of each frame: large ones as they are, a sample of the others at a common value.

    Attributes:
        k: Senones kept of a frame.
        steps: Levels an octave of the large probabilities.
        seed: With the utterance it fixes what is drawn.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Literal["sampled"] = "sampled"
    k: int = Field(default=32, ge=1)
    steps: int = Field(default=8, ge=1, le=16)
    seed: int = Field(default=0, ge=0)


class SampledCode:
    """Threshold sampling: a q of at least t is kept, another is drawn with chance q / t and stored as t.

    The threshold t of a frame is the one at which ``sum_j min(1, q_j / t) = k``, and the draws are
    systematic, so that exactly k are kept. Levels and thresholds are rounded up or down at random between
    float16 numbers, so that the expectation of each decoded probability is q. Its variance, :meth:`variance`,
    is that of rounding where q is at least t, and about ``q (t - q)`` elsewhere. A row need not sum to 1.

    Source: Kaldi ``prob-to-post --random-prune`` with a threshold for each frame in place of one for all; a
    fixed number of draws by systematic sampling (Madow 1949), weighed as in VarOpt (Cohen et al. 2009).
    """

    def __init__(self, config: Sampled, num_senones: int) -> None:
        self.config = config
        self.num_senones = num_senones
        self._k = min(config.k, num_senones)
        self._grid = LogGrid(config.steps)
        assert self._grid.num_codes <= PADDING
        self._levels = torch.full((256,), torch.nan, dtype=torch.float16)  # of a damaged code
        self._levels[: self._grid.num_codes] = self._grid.levels().half()
        self._levels[[PADDING, _SAMPLED]] = 0.0
        self._id_type = torch.int16 if num_senones <= 2**15 else torch.int32

    @property
    def max_kept(self) -> int:
        """Columns of the decoded targets."""
        return self._k

    def encode(self, log_q: Tensor, key: str) -> bytes:
        """Return the bytes of log posteriors ``[T, S]``; the same ``key`` draws the same senones."""
        digest = hashlib.sha256(f"{self.config.seed} {key}".encode()).digest()
        generator = np.random.Generator(np.random.Philox(int.from_bytes(digest[:8], "big")))
        parts: list[list[Tensor]] = []
        num_rows = max(1, _ELEMENTS_AT_ONCE // self.num_senones)
        for first in range(0, len(log_q), num_rows):
            q = _probabilities(log_q[first : first + num_rows])
            frames, *rest = self._draw(q, generator)
            parts.append([frames + first, *rest])
        frames, ids, codes, thresholds = (torch.cat(part) for part in zip(*parts, strict=True))
        entries = Entries(frames, ids, codes)
        return pack_entries(entries, len(log_q), self.num_senones) + pack_streams([thresholds])

    def _draw(self, q: Tensor, generator: np.random.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return frames, ids and codes of some rows' entries, and the rows' thresholds as float16 bits."""
        threshold, chances = inclusion(q, self._k)
        frames, ids = systematic_draws(chances, _uniform(generator, len(q), q)).nonzero(as_tuple=True)
        is_sampled = chances[frames, ids] < 1
        levels = self._grid.unbiased(q[frames, ids], _uniform(generator, len(frames), q))
        stays = is_sampled | (levels < self._grid.num_codes)
        codes = torch.where(is_sampled, _SAMPLED, levels)
        bits = _round_half(threshold, _uniform(generator, len(q), q))
        return frames[stays], ids[stays], codes[stays], bits

    def rows(self) -> RowEncoder:
        """Return an encoder of the rows of several utterances."""
        return WholeRows(self.encode)

    def refusal(self, power: float) -> str | None:
        """Return why posteriors cannot be decoded at a power, or None when they can."""
        return None if power == 1 else "a power of sampled posteriors would be biased"

    def decode(self, data: Data, num_frames: int, power: float = 1.0) -> SoftTargets:
        """Return targets of T frames, float16 probs; the kept senones of a row are sorted by id."""
        return self.decode_batch([data], [num_frames], power)

    def decode_batch(
        self,
        data: Sequence[Data],
        lengths: Sequence[int],
        power: float = 1.0,
        damage: Damage | None = None,
    ) -> SoftTargets:
        """Return the targets of several utterances, one after another."""
        assert power == 1
        damage = damage or Damage()
        readers = [Reader(each) for each in data]
        num_frames = sum(lengths)
        entries = read_entries(readers, lengths, self.num_senones, self._k, damage)
        bits = []
        for reader, length in zip(readers, lengths, strict=True):
            bits += read_streams(reader, 1, length)
            reader.finish()
            if len(bits[-1]) != length:
                raise ValueError("thresholds missing")
        rows = entries_in_rows(entries, num_frames, self._k, damage)
        probs = self._levels.to(damage.device).index_select(0, rows.codes.reshape(-1))
        probs = probs.reshape(num_frames, self._k)
        damage.refuse(probs.isnan(), "an unknown level")
        thresholds = damage.moved(bits).to(torch.int16).view(torch.float16)
        probs = torch.where(rows.codes == _SAMPLED, thresholds[:, None], probs)
        return SoftTargets(probs, rows.ids.to(self._id_type))

    def variance(self, log_q: Tensor) -> Tensor:
        """Return the variance of each decoded probability, float64 ``[T, S]``."""
        q = _probabilities(log_q)
        threshold, chances = inclusion(q, self._k)
        lower, upper = _neighbours(threshold)
        square = threshold**2 + (upper - threshold) * (
            threshold - lower
        )  # E of the rounded threshold's square
        return torch.where(chances < 1, square[:, None] * chances - q**2, self._grid.variance(q))


def inclusion(q: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return each row's threshold t and the chances ``min(1, q / t)``, which sum to k.

    Args:
        q: Positive probabilities, float64 ``[C, S]``.
        k: Senones to keep, at most S.

    Returns:
        ``[C]`` and ``[C, S]``; the chance of what is kept for certain is exactly 1.
    """
    top, ids = q.topk(k, dim=1)
    beyond = q.scatter(1, ids, 0.0).sum(1, keepdim=True)  # [C, 1], no difference of large numbers
    rest = top.flip(1).cumsum(1).flip(1) + beyond  # [C, k], mass from each rank on
    ranks = torch.arange(k, device=q.device)
    candidates = rest / (k - ranks)
    # The first rank whose probability is below the threshold that it would have part in; the last one is.
    is_small = (top < candidates) | (ranks == k - 1)
    threshold = candidates.gather(1, is_small.int().argmax(1, keepdim=True))  # [C, 1]
    return threshold[:, 0], (q / threshold).clamp(max=1.0)


def systematic_draws(chances: Tensor, uniform: Tensor) -> Tensor:
    """Return draws with the given chances, as many a row as these sum to, spread evenly over the senones.

    Args:
        chances: From 0 to 1, float64 ``[C, S]``; a row sums to a whole number.
        uniform: From 0 to 1 ``[C]``.

    Returns:
        bool ``[C, S]``.
    """
    sums = chances.cumsum(1)
    total = sums[:, -1:].round()
    ticks = torch.floor(sums * (total / sums[:, -1:]) + uniform[:, None])
    ticks[:, -1] = total[:, 0]  # floor(total + uniform), whatever rounding did
    return torch.diff(ticks, dim=1, prepend=torch.zeros_like(total)) > 0


def _probabilities(log_q: Tensor) -> Tensor:
    """Return float64 rows that sum to 1; what underflows stays positive, so that k senones can be drawn."""
    q = log_q.double().exp().clamp_min_(1e-30)
    return q / q.sum(1, keepdim=True)


def _uniform(generator: np.random.Generator, count: int, like: Tensor) -> Tensor:
    return torch.from_numpy(generator.random(count)).to(like.device)


def _neighbours(values: Tensor) -> tuple[Tensor, Tensor]:
    """Return the float16 numbers below (or equal) and above, as float64."""
    bits = _bits_below(values)
    return bits.view(torch.float16).double(), (bits + 1).view(torch.float16).double()


def _bits_below(values: Tensor) -> Tensor:
    nearest = values.half()
    return nearest.view(torch.int16) - (nearest.double() > values).to(torch.int16)


def _round_half(values: Tensor, uniform: Tensor) -> Tensor:
    """Return the bits of the float16 number below or above, so that its expectation is the value."""
    lower, upper = _neighbours(values)
    return _bits_below(values).int() + (uniform * (upper - lower) < values - lower).int()
