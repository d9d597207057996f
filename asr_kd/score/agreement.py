"""Agreement of an ensemble's nets: averaging can gain where some are right and others are not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Agreement:
    """Counts of frames by which of N nets find the same senone, and by how many of them are right.

    Attributes:
        same: int64 ``[N, N]``, frames for which two nets find the same senone; all frames on the diagonal.
        by_right: int64 ``[N + 1]``, frames by the number of nets that find the aligned senone.
    """

    def __init__(self, num_nets: int) -> None:
        self.same = np.zeros((num_nets, num_nets), dtype=np.int64)
        self.by_right = np.zeros(num_nets + 1, dtype=np.int64)

    def add(self, found: NDArray[np.int64], alignment: NDArray[Any]) -> None:
        """Count frames.

        Args:
            found: Best senone of each net and frame ``[N, T]``.
            alignment: pdf_ids ``[T]``.
        """
        self.same += (found[:, None] == found[None]).sum(axis=2)
        num_right = (found == alignment).sum(axis=0)
        self.by_right += np.bincount(num_right, minlength=len(self.by_right))

    def to_json(self) -> dict[str, list[Any]]:
        """Return the counts as a JSON-like value."""
        return {"same": self.same.tolist(), "by_right": self.by_right.tolist()}

    @classmethod
    def of(cls, stored: Mapping[str, list[Any]]) -> Agreement:
        """Return the counts that :meth:`to_json` described."""
        counts = cls(len(stored["same"]))
        counts.same += np.asarray(stored["same"])
        counts.by_right += np.asarray(stored["by_right"])
        return counts
