"""Folds of a corpus: even parts, so that a net may leave one out and be asked about it afterwards."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from asr_kd.data.manifest import Utterance
from asr_kd.errors import ConfigError


class Folds(BaseModel):
    """Even parts of the training utterances, so that each is labelled by teachers that did not learn it.

    Attributes:
        count: How many folds, K. Teacher n, counted from 0, leaves out fold n mod K and labels it.
        by: What stays together: all that a ``speaker`` says, or an ``utterance`` alone.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    count: int = Field(ge=2)
    by: Literal["speaker", "utterance"] = "speaker"

    def left_out_by(self, teacher: int) -> int:
        """Return the fold that a teacher does not learn."""
        return teacher % self.count

    def labellers(self, fold: int, num_teachers: int) -> tuple[int, ...]:
        """Return the teachers that left a fold out, of N."""
        return tuple(range(fold, num_teachers, self.count))

    def of_each(self, utterances: Sequence[Utterance]) -> dict[str, int]:
        """Return the fold of every utterance by utt_id, counted from 0.

        Speakers, or utterances, are dealt out in turn in an order by hash: folds differ in size by one at
        most, and do not depend on the order of the manifest.

        Raises:
            ConfigError: For fewer speakers or utterances than folds.
        """
        names = {row.utt_id: row.speaker if self.by == "speaker" else row.utt_id for row in utterances}
        units = sorted(set(names.values()), key=lambda name: hashlib.sha256(name.encode()).digest())
        if len(units) < self.count:
            hint = " or divide by utterance" if self.by == "speaker" else ""
            raise ConfigError(
                f"too few {self.by}s for so many folds",
                expected=f"at least {self.count}",
                got=len(units),
                hint=f"take fewer folds{hint}",
            )
        fold = {name: place % self.count for place, name in enumerate(units)}
        return {utt_id: fold[name] for utt_id, name in names.items()}
