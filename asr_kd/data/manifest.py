"""Manifests: one JSON object a line for each utterance of a split."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from asr_kd.atomic import write_text
from asr_kd.errors import ManifestError
from asr_kd.units import num_frames
from asr_kd.utf8 import read_utf8

SPLITS = ("train", "dev", "test", "transfer")
"""Splits of a corpus; ``transfer`` holds audio without text for the student's soft targets alone."""

LEARNT_SPLITS = ("train", "transfer")
"""Those whose audio nets may learn."""


@dataclass(frozen=True)
class Utterance:
    """One utterance: where its samples are, who speaks and what is said.

    Attributes:
        utt_id: Unique over all splits.
        speaker: Used for CMVN, for splits and for resampling in significance tests.
        audio: Path of the audio file; a relative one is relative to the manifest's folder.
        num_samples: Length in samples at ``sampling_rate``.
        sampling_rate: Of the file, in Hz.
        text: Words separated by single blanks; None where nobody transcribed it.
        start_sample: First sample in the file (Kaldi's ``segments``).
    """

    utt_id: str
    speaker: str
    audio: str
    num_samples: int
    sampling_rate: int
    text: str | None = None
    start_sample: int = 0

    @property
    def duration(self) -> float:
        """Duration in seconds."""
        return self.num_samples / self.sampling_rate

    def num_frames(self, frame_shift: float) -> int:
        """Return the number of frames at a frame shift in seconds."""
        return num_frames(self.num_samples, self.sampling_rate, frame_shift)

    @property
    def words(self) -> list[str]:
        """Words of the transcript; empty where there is none."""
        return (self.text or "").split()


_FIELDS: dict[str, type | tuple[type, ...]] = {
    "utt_id": str,
    "speaker": str,
    "audio": str,
    "num_samples": int,
    "sampling_rate": int,
    "text": (str, type(None)),
    "start_sample": int,
}
_REQUIRED = ("utt_id", "speaker", "audio", "num_samples", "sampling_rate")


def read_manifest(path: Path) -> list[Utterance]:
    """Read a manifest; audio paths come back joined to the manifest's folder.

    Raises:
        ManifestError: For a missing file or one that is not UTF-8, and, with the line's number, a malformed
            row, a doubled utt_id or an empty transcript.
    """
    if not path.is_file():
        raise ManifestError("no such manifest", where=path, hint="run the prepare stage or check the path")
    utterances: list[Utterance] = []
    first_line: dict[str, int] = {}
    # Not splitlines: JSON may hold other characters that end a line of text.
    for number, line in enumerate(read_utf8(path, ManifestError).split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        utterance = _parse_row(line, where, path.parent)
        if utterance.utt_id in first_line:
            raise ManifestError(
                f'utt_id "{utterance.utt_id}" is there twice',
                where=where,
                got=f"the same id in line {first_line[utterance.utt_id]}",
                hint="give each utterance an id of its own",
            )
        first_line[utterance.utt_id] = number
        utterances.append(utterance)
    if not utterances:
        raise ManifestError("the manifest is empty", where=path, expected="at least one utterance")
    return utterances


def _parse_row(line: str, where: str, folder: Path) -> Utterance:
    try:
        row: Any = json.loads(line)
    except json.JSONDecodeError as error:
        raise ManifestError(f"not a JSON object: {error}", where=where) from None
    if not isinstance(row, dict):
        raise ManifestError("not a JSON object", where=where, expected='{"utt_id": ...}', got=line[:40])
    unknown = sorted(set(row) - set(_FIELDS))
    missing = [key for key in _REQUIRED if key not in row]
    if unknown or missing:
        raise ManifestError(
            f"fields missing: {missing}" if missing else f"unknown fields: {unknown}",
            where=where,
            expected=f"fields {', '.join(_FIELDS)}",
        )
    for key, value in row.items():
        if not isinstance(value, _FIELDS[key]) or isinstance(value, bool):
            raise ManifestError(f'field "{key}" has the wrong type', where=where, got=repr(value)[:60])
    utterance = Utterance(**row)
    check_utterance(utterance, where)
    audio = utterance.audio
    if "://" not in audio and not Path(audio).is_absolute():
        utterance = Utterance(**{**row, "audio": str(folder / audio)})
    return utterance


def check_utterance(utterance: Utterance, where: str) -> None:
    """Refuse an utterance that cannot be used, naming ``where`` it stands."""
    name = f'utterance "{utterance.utt_id}"'
    if not utterance.utt_id or utterance.utt_id.split() != [utterance.utt_id]:
        raise ManifestError("utt_id is empty or has blanks", where=where, got=repr(utterance.utt_id))
    if utterance.num_samples <= 0 or utterance.sampling_rate <= 0:
        raise ManifestError(
            f"{name} has no audio",
            where=where,
            expected="num_samples and sampling_rate above 0",
            got=f"{utterance.num_samples} and {utterance.sampling_rate}",
        )
    if utterance.text is not None and not utterance.text.strip():
        raise ManifestError(
            f"{name} has an empty transcript",
            where=where,
            hint="leave the text out (null) for audio without a transcript, or remove the utterance",
        )


def transcripts(utterances: Sequence[Utterance], where: str | Path, hint: str) -> dict[str, str]:
    """Return what is said by utt_id.

    Args:
        utterances: Of one split.
        where: Where they come from, for the error.
        hint: What to do with audio without text.

    Raises:
        ManifestError: When nobody transcribed some of them.
    """
    without = [utterance.utt_id for utterance in utterances if utterance.text is None]
    if without:
        raise ManifestError(
            f"{len(without)} of {len(utterances)} utterances have no transcript",
            where=where,
            got=", ".join(without[:3]),
            hint=hint,
        )
    return {utterance.utt_id: utterance.text or "" for utterance in utterances}


def is_drawn(utt_id: str, share: float, seed: int | str) -> bool:
    """Return whether an utterance is in a share of its split that is drawn with a seed, by a hash."""
    digest = hashlib.sha256(f"{seed}:{utt_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


def spread_evenly(utterances: Sequence[Utterance], limit: int) -> list[Utterance]:
    """Return at most ``limit`` utterances at even distances, so that all speakers have their share."""
    rows = sorted(utterances, key=lambda row: row.utt_id)
    count = min(limit, len(rows))
    return [rows[index * len(rows) // count] for index in range(count)]


def write_manifest(path: Path, utterances: Iterable[Utterance]) -> None:
    """Write a manifest atomically, one sorted row an utterance, after the checks of the reader."""
    rows = sorted(utterances, key=lambda utterance: utterance.utt_id)
    for before, after in itertools.pairwise(rows):
        if before.utt_id == after.utt_id:
            raise ManifestError(f'utt_id "{after.utt_id}" is there twice', where=path)
    for row in rows:
        check_utterance(row, str(path))
    write_text(path, "".join(json.dumps(asdict(row), ensure_ascii=False) + "\n" for row in rows))
