"""Lines of NIST's CTM: what was said in a recording, and when."""

from __future__ import annotations

import math
from typing import NamedTuple

_NUM_FIELDS = (5, 6)


class CtmLine(NamedTuple):
    """One word or phone of a recording.

    Attributes:
        recording: Its name, in many files an utt_id.
        channel: Of the recording.
        start: In seconds from the recording's start.
        duration: In seconds.
        token: The word or phone.
    """

    recording: str
    channel: str
    start: float
    duration: float
    token: str


def is_ctm_comment(line: str) -> bool:
    """Return whether a line says nothing: a comment, or blank."""
    return line.startswith(";;") or not line.strip()


def parse_ctm_line(line: str) -> CtmLine | None:
    """Return what ``recording channel start duration token [confidence]`` says; None for any other line.

    Source: the SCTK manual (``ctm``).
    """
    fields = line.split()
    if len(fields) not in _NUM_FIELDS:
        return None
    try:
        start, duration = float(fields[2]), float(fields[3])
    except ValueError:
        return None
    if not (math.isfinite(start) and math.isfinite(duration) and start >= 0 and duration >= 0):
        return None
    return CtmLine(fields[0], fields[1], start, duration, fields[4])
