"""Folds of a corpus: even parts, so that a net may leave one out and be asked about it afterwards."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal

from asr_kd.data.manifest import Utterance
from asr_kd.errors import ConfigError

FoldUnit = Literal["speaker", "utterance"]
"""What is never split: all that a speaker says, or an utterance alone."""


def fold_of_each(utterances: Sequence[Utterance], num_folds: int, unit: FoldUnit) -> dict[str, int]:
    """Return the fold of every utterance by utt_id, counted from 0.

    Speakers, or utterances, are dealt out in turn in an order by hash: folds differ in size by one at most,
    and do not depend on the order of the manifest.

    Raises:
        ConfigError: For fewer speakers or utterances than folds.
    """
    names = {row.utt_id: row.speaker if unit == "speaker" else row.utt_id for row in utterances}
    units = sorted(set(names.values()), key=lambda name: hashlib.sha256(name.encode()).digest())
    if len(units) < num_folds:
        hint = " or divide by utterance" if unit == "speaker" else ""
        raise ConfigError(
            f"too few {unit}s for so many folds",
            expected=f"at least {num_folds}",
            got=len(units),
            hint=f"take fewer folds{hint}",
        )
    fold = {name: place % num_folds for place, name in enumerate(units)}
    return {utt_id: fold[name] for utt_id, name in names.items()}
