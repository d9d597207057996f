"""Cepstral mean and variance normalisation, for each utterance or for each speaker."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from asr_kd.atomic import write_text
from asr_kd.errors import FrontendError
from asr_kd.fingerprint import fingerprint
from asr_kd.frontend.protocol import Features

CmvnMode = Literal["none", "utterance", "speaker"]

_SETTINGS = ("mode", "norm_vars", "variance_floor")


@dataclass
class CmvnStats:
    """Sums over frames from which mean and variance follow.

    Attributes:
        count: Number of frames.
        sum: Of each value, float64 ``[D]``.
        sum_squares: Of each value's square, float64 ``[D]``.
    """

    count: int
    sum: NDArray[np.float64]
    sum_squares: NDArray[np.float64]

    @classmethod
    def zero(cls, dim: int) -> CmvnStats:
        """Return the statistics of no frames."""
        return cls(0, np.zeros(dim), np.zeros(dim))

    @classmethod
    def of(cls, features: Features) -> CmvnStats:
        """Return the statistics of one matrix of frames ``[T, D]``."""
        frames = features.astype(np.float64)
        return cls(len(frames), frames.sum(axis=0), np.square(frames).sum(axis=0))

    @property
    def dim(self) -> int:
        """Number of values D in a frame."""
        return len(self.sum)

    def add(self, other: CmvnStats) -> None:
        """Add the statistics of other frames."""
        self.count += other.count
        self.sum = self.sum + other.sum
        self.sum_squares = self.sum_squares + other.sum_squares

    @property
    def mean(self) -> NDArray[np.float64]:
        """Mean ``[D]``; 0 where there are no frames."""
        return self.sum / max(self.count, 1)

    @property
    def variance(self) -> NDArray[np.float64]:
        """Variance over frames ``[D]``, at least 0."""
        variance: NDArray[np.float64] = self.sum_squares / max(self.count, 1) - np.square(self.mean)
        return np.maximum(variance, 0.0)


class Cmvn:
    """Brings features to mean 0 and variance 1 over an utterance or over a speaker's utterances.

    Args:
        mode: ``none`` leaves features as they are; ``utterance`` needs nothing but the utterance;
            ``speaker`` needs :meth:`accumulate` on all of a speaker's utterances first.
        norm_vars: Whether the variance is normalised too.
        variance_floor: Smallest variance to divide by, in squared units of the features. It keeps
            digital silence, whose variance is 0, at 0.

    Raises:
        FrontendError: For a mode that there is not, or a floor that is not above 0.

    Source: Kaldi ``compute-cmvn-stats`` and ``apply-cmvn --norm-vars``.
    """

    def __init__(
        self, mode: CmvnMode = "speaker", norm_vars: bool = True, variance_floor: float = 1e-8
    ) -> None:
        if mode not in get_args(CmvnMode):
            raise FrontendError(
                "unknown cmvn mode", expected=f"one of {', '.join(get_args(CmvnMode))}", got=repr(mode)
            )
        if not variance_floor > 0 or not math.isfinite(variance_floor):
            raise FrontendError("cmvn's variance_floor must be above 0", got=variance_floor)
        self.mode = mode
        self.norm_vars = norm_vars
        self.variance_floor = variance_floor
        self._stats: dict[str, CmvnStats] = {}

    @property
    def speakers(self) -> Mapping[str, CmvnStats]:
        """What was accumulated, by speaker."""
        return self._stats

    @property
    def fingerprint(self) -> str:
        """Changes with the settings; what was accumulated follows from the features."""
        return fingerprint({key: getattr(self, key) for key in _SETTINGS})

    def accumulate(self, features: Features, speaker: str) -> None:
        """Add an utterance ``[T, D]`` to its speaker's statistics; nothing to do in other modes.

        Raises:
            FrontendError: For features of another width than before or with a value that is not finite.
        """
        if self.mode != "speaker":
            return
        self.add_stats(speaker, CmvnStats.of(features))

    def add_stats(self, speaker: str, stats: CmvnStats) -> None:
        """Add a speaker's statistics, such as those that another process accumulated."""
        if not (np.isfinite(stats.sum).all() and np.isfinite(stats.sum_squares).all()):
            raise FrontendError("features for cmvn are not finite", where=f'speaker "{speaker}"')
        total = self._stats.setdefault(speaker, CmvnStats.zero(stats.dim))
        self._check_dim(total, stats.dim, speaker)
        total.add(stats)

    def apply(self, features: Features, speaker: str | None = None) -> Features:
        """Return normalised features.

        Args:
            features: float32 ``[T, D]``; left as they are.
            speaker: Whose they are; needed in mode ``speaker`` alone.

        Returns:
            float32 ``[T, D]``, finite where ``features`` are.

        Raises:
            FrontendError: For a speaker without statistics, or features of another width than theirs.
        """
        if self.mode == "none":
            return features
        stats = CmvnStats.of(features) if self.mode == "utterance" else self._stats_of(speaker)
        self._check_dim(stats, features.shape[1], speaker)
        normalised = features - stats.mean  # float64: large means must not cost digits
        if self.norm_vars:
            normalised /= np.sqrt(np.maximum(stats.variance, self.variance_floor))
        return normalised.astype(np.float32)

    def _stats_of(self, speaker: str | None) -> CmvnStats:
        if speaker is None or speaker not in self._stats:
            raise FrontendError(
                "no cmvn statistics of this speaker",
                where=f'speaker "{speaker}"',
                hint="accumulate the speaker's utterances first, or set cmvn to utterance",
            )
        return self._stats[speaker]

    @staticmethod
    def _check_dim(stats: CmvnStats, dim: int, speaker: str | None) -> None:
        if stats.dim != dim:
            raise FrontendError(
                "features of another width than their cmvn statistics",
                where=f'speaker "{speaker}"',
                expected=f"dim {stats.dim}",
                got=f"dim {dim}",
            )

    def to_json(self) -> dict[str, Any]:
        """Return settings and statistics as JSON values; floats come back bit for bit."""
        speakers = {
            name: {"count": stats.count, "sum": stats.sum.tolist(), "sum_squares": stats.sum_squares.tolist()}
            for name, stats in sorted(self._stats.items())
        }
        return {**{key: getattr(self, key) for key in _SETTINGS}, "speakers": speakers}

    @classmethod
    def from_json(cls, value: Any, where: str | Path | None = None) -> Cmvn:
        """Return what :meth:`to_json` described.

        Raises:
            FrontendError: For anything else, naming ``where`` it was read.
        """
        try:
            cmvn = cls(**{key: value[key] for key in _SETTINGS})
            for speaker, row in value["speakers"].items():
                arrays = [np.asarray(row[key], dtype=np.float64) for key in ("sum", "sum_squares")]
                if arrays[0].ndim != 1 or arrays[0].shape != arrays[1].shape or int(row["count"]) < 0:
                    raise ValueError(f'statistics of speaker "{speaker}" have the wrong shape')
                cmvn.add_stats(speaker, CmvnStats(int(row["count"]), *arrays))
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise FrontendError(
                "not the statistics of cmvn", where=where, got=f"{type(error).__name__}: {error}"
            ) from error
        return cmvn

    def save(self, path: Path) -> None:
        """Write settings and statistics to a JSON file, atomically."""
        write_text(path, json.dumps(self.to_json(), ensure_ascii=False) + "\n")

    @classmethod
    def load(cls, path: Path) -> Cmvn:
        """Read what :meth:`save` wrote.

        Raises:
            FrontendError: For a missing or damaged file.
        """
        if not path.is_file():
            raise FrontendError("no cmvn statistics", where=path, hint="run the stage that writes them")
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise FrontendError(f"not a JSON file: {error}", where=path) from error
        return cls.from_json(value, path)
