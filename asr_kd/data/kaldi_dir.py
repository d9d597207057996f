"""Read a Kaldi-style data directory: wav.scp, and text, utt2spk or spk2utt and segments where they exist."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from asr_kd.data.audio import AudioInfo, audio_info
from asr_kd.data.manifest import Utterance
from asr_kd.errors import ManifestError
from asr_kd.utf8 import read_utf8

# A segment may end this many seconds behind its recording (Kaldi's extract-segments --max-overshoot).
_MAX_OVERSHOOT = 0.5

# A file and the byte where the recording starts, perhaps with a range of it.
_IN_ARCHIVE = re.compile(r"[^/]:[0-9]+(\[[0-9:,]*\])?$")

_UTT2SPK, _SPK2UTT = "utt2spk", "spk2utt"

RunPipe = Callable[[str, str, str], Path]
"""From recording_id, command and its place to the file with the command's audio."""


@dataclass(frozen=True)
class _Entry:
    """The rest of a table's line behind its key, and where it stands."""

    value: str
    where: str


def read_kaldi_dir(
    folder: Path,
    *,
    root: Path | None = None,
    allow_untranscribed: bool = False,
    run_pipe: RunPipe | None = None,
) -> list[Utterance]:
    """Read the utterances of a data directory, sorted by utt_id, with absolute audio paths.

    Args:
        folder: Holds ``wav.scp``; without ``text`` every utterance is untranscribed, without
            ``utt2spk`` and ``spk2utt`` every utterance is a speaker of its own.
        root: What relative paths of ``wav.scp`` start from; when None the first that has the file of
            the data directory, the two above it and the current directory.
        allow_untranscribed: Take utterances that ``text`` lacks, or has without words, as untranscribed.
        run_pipe: Runs the commands of ``wav.scp`` (:class:`asr_kd.data.kaldi_pipes.PipeReader`); without
            it they are refused.

    Raises:
        ManifestError: For a malformed line (with its number), a command in ``wav.scp`` that is
            not to be run, a place in an archive, a doubled key, and utterances that one file has and the
            other lacks.
        AudioError: For audio that is missing or unreadable.

    Source: Kaldi, "Data preparation"; extract-segments.cc for the ends of segments.
    """
    if not (folder / "wav.scp").is_file():
        raise ManifestError("not a Kaldi data directory", where=folder, expected="a file wav.scp in it")
    recordings = _recordings(folder, root, run_pipe)
    segments = _segments(folder, recordings)
    text = folder / "text"
    texts = _table(text, values_needed=not allow_untranscribed) if text.is_file() else None
    speakers = _speakers(folder)
    if texts is not None:
        _check_same(segments, texts, folder, allow_untranscribed)
    if speakers:
        _check_speakers(segments, speakers, folder)
    utterances = []
    for utt_id, (path, info, start, num_samples) in sorted(segments.items()):
        words = texts[utt_id].value.split() if texts is not None and utt_id in texts else []
        speaker = speakers[utt_id].value if speakers else utt_id
        utterances.append(
            Utterance(
                utt_id=utt_id,
                speaker=speaker,
                audio=str(path),
                num_samples=num_samples,
                sampling_rate=info.sampling_rate,
                text=" ".join(words) or None,
                start_sample=start,
            )
        )
    return utterances


def speaker_table(folder: Path) -> Path:
    """Return the table that tells who speaks: ``utt2spk``, or ``spk2utt`` where there is that one alone."""
    tables = [folder / name for name in (_UTT2SPK, _SPK2UTT)]
    return next((table for table in tables if table.is_file()), tables[0])


def read_table(path: Path) -> dict[str, str]:
    """Read a Kaldi text table: a key, blanks, and the rest of the line.

    Raises:
        ManifestError: For a missing file, a line without a value or a doubled key, with its number.
    """
    return {key: entry.value for key, entry in _table(path).items()}


def _speakers(folder: Path) -> dict[str, _Entry]:
    """Return who says each utterance; nothing where no table tells."""
    path = speaker_table(folder)
    if not path.is_file():
        return {}
    table = _table(path)
    if path.name == _UTT2SPK:
        return table
    speakers: dict[str, _Entry] = {}
    for speaker, entry in table.items():
        for utt_id in entry.value.split():
            if utt_id in speakers:
                raise ManifestError(
                    f'"{utt_id}" is there twice', where=entry.where, got=f"also in {speakers[utt_id].where}"
                )
            speakers[utt_id] = _Entry(speaker, entry.where)
    return speakers


def _table(path: Path, *, values_needed: bool = True) -> dict[str, _Entry]:
    table: dict[str, _Entry] = {}
    for number, line in _lines(path):
        where = f"{path}:{number}"
        key, *rest = line.split(maxsplit=1)
        if values_needed and not rest:
            what = "an empty transcript" if path.name == "text" else "no value"
            raise ManifestError(f'"{key}" has {what}', where=where, expected="a key and a value")
        if key in table:
            raise ManifestError(f'"{key}" is there twice', where=where, got=f"also in {table[key].where}")
        table[key] = _Entry("".join(rest).strip(), where)
    if values_needed and not table:
        raise ManifestError("the file is empty", where=path)
    return table


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        text = read_utf8(path, ManifestError)
    except FileNotFoundError:
        raise ManifestError("no such file", where=path) from None
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, line


def _recordings(
    folder: Path, root: Path | None, run_pipe: RunPipe | None
) -> dict[str, tuple[Path, AudioInfo]]:
    roots = [folder, folder.parent, folder.parent.parent, Path()] if root is None else [root]
    recordings = {}
    for recording_id, entry in _table(folder / "wav.scp").items():
        if entry.value.endswith("|") or entry.value.startswith("|"):
            path = _piped(recording_id, entry, run_pipe)
        else:
            path = _existing(recording_id, entry, roots)
        recordings[recording_id] = (path, audio_info(path, utt_id=recording_id))
    return recordings


def _piped(recording_id: str, entry: _Entry, run_pipe: RunPipe | None) -> Path:
    if run_pipe is None:
        raise ManifestError(
            f'"{recording_id}" is a command, and commands in wav.scp are never run unless that is allowed',
            where=entry.where,
            expected="the path of an audio file",
            got=entry.value[:60],
            hint="write the command's output to a file and put its path here, or look through the commands "
            "and allow them: --set corpus.options.allow_pipes=true (corpus kaldi)",
        )
    return run_pipe(recording_id, entry.value, entry.where)


def _existing(recording_id: str, entry: _Entry, roots: Sequence[Path]) -> Path:
    candidates = [(base / entry.value).absolute() for base in roots]
    path = next((candidate for candidate in candidates if candidate.is_file()), None)
    if path is None and _IN_ARCHIVE.search(entry.value):
        raise ManifestError(
            f'audio of "{recording_id}" is in a Kaldi archive, and archives are not read',
            where=entry.where,
            expected="the path of an audio file",
            got=entry.value,
            hint="write each recording to a file of its own (wav-copy scp:wav.scp scp:files.scp, where "
            "files.scp names a file for each) and take files.scp as wav.scp",
        )
    if path is None:
        raise ManifestError(
            f'audio of "{recording_id}" is missing',
            where=entry.where,
            expected=" or ".join(str(candidate) for candidate in dict.fromkeys(candidates)),
            hint="restore the file or mend the path",
        )
    return path


def _segments(
    folder: Path, recordings: dict[str, tuple[Path, AudioInfo]]
) -> dict[str, tuple[Path, AudioInfo, int, int]]:
    """Return path, header, first sample and number of samples by utt_id."""
    if not (folder / "segments").is_file():
        return {key: (path, info, 0, info.num_samples) for key, (path, info) in recordings.items()}
    segments = {}
    for utt_id, entry in _table(folder / "segments").items():
        recording_id, *fields = entry.value.split()
        try:
            start, end, *channel = map(float, fields)
        except ValueError:
            start, end, channel = math.nan, math.nan, []
        if not (math.isfinite(start) and math.isfinite(end) and len(channel) <= 1):
            raise ManifestError(
                "malformed segment",
                where=entry.where,
                expected="utt_id recording_id start end [channel], in seconds",
                got=f"{utt_id} {entry.value}",
            )
        if recording_id not in recordings:
            raise ManifestError(f'recording "{recording_id}" is not in wav.scp', where=entry.where)
        path, info = recordings[recording_id]
        if channel and channel != [-1.0] and info.channels > 1:
            raise ManifestError(
                "the segment is of one of several channels",
                where=entry.where,
                got=f"channel {channel[0]:g} of {info.channels}",
                hint="write each channel to a file of its own: here they would be mixed",
            )
        segments[utt_id] = (path, info, *segment_span(start, end, info, entry.where))
    return segments


def segment_span(start: float, end: float, info: AudioInfo, where: str) -> tuple[int, int]:
    """Return first sample and number of samples of a segment of a recording.

    Args:
        start: In seconds.
        end: In seconds; -1 is the recording's end.
        info: Of the recording.
        where: Named in the error.

    Raises:
        ManifestError: When the segment is empty, or starts or ends outside the recording.
    """
    duration = info.num_samples / info.sampling_rate
    if end == -1.0:
        end = duration
    first = round(start * info.sampling_rate)
    last = min(round(end * info.sampling_rate), info.num_samples)
    if not 0 <= first < last or end > duration + _MAX_OVERSHOOT:
        raise ManifestError(
            "the segment is not within its recording",
            where=where,
            expected=f"0 <= start < end <= {duration:.2f} s",
            got=f"{start} to {end}",
        )
    return first, last - first


def _check_same(
    segments: dict[str, tuple[Path, AudioInfo, int, int]],
    texts: dict[str, _Entry],
    folder: Path,
    allow_untranscribed: bool,
) -> None:
    without_audio = [utt_id for utt_id in texts if utt_id not in segments]
    if without_audio:
        raise ManifestError(
            f"{_count(without_audio)} in text without audio",
            where=texts[without_audio[0]].where,
            hint="add them to wav.scp (or segments), or take them out of text",
        )
    without_text = [utt_id for utt_id in segments if utt_id not in texts]
    if without_text and not allow_untranscribed:
        raise ManifestError(
            f"{_count(without_text)} with audio but without a line in text",
            where=folder / "text",
            hint="transcribe them, or leave them out of wav.scp (or segments)",
        )


def _check_speakers(
    segments: dict[str, tuple[Path, AudioInfo, int, int]], speakers: dict[str, _Entry], folder: Path
) -> None:
    without = [utt_id for utt_id in segments if utt_id not in speakers]
    if without:
        raise ManifestError(f"{_count(without)} without a speaker", where=speaker_table(folder))


def _count(utt_ids: Sequence[str]) -> str:
    what = "utterance" if len(utt_ids) == 1 else "utterances"
    names = ", ".join(utt_ids[:3]) + (", ..." if len(utt_ids) > 3 else "")
    return f"{len(utt_ids)} {what} ({names})"
