"""Read a folder of audio with transcripts beside, or whatever else holds utterances."""

from __future__ import annotations

import re
from pathlib import Path

from asr_kd.data.audio import audio_info
from asr_kd.data.folders import files_below
from asr_kd.data.kaldi_dir import read_kaldi_dir
from asr_kd.data.manifest import Utterance, read_manifest
from asr_kd.errors import ManifestError
from asr_kd.utf8 import read_utf8

AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".oga", ".mp3")
_NOTES = ("readme", "license", "licence", "copying")
_TRN_LINE = re.compile(r"^(?P<words>.*?)\s*\((?P<utt_id>[^()\s]+)\)$")


def read_audio_source(path: Path) -> list[Utterance]:
    """Read a manifest (.jsonl), a Kaldi-style data directory or a folder of audio with transcripts.

    Raises:
        ManifestError: When it is none of them or is malformed.
        AudioError: For audio that is missing or unreadable.
    """
    if path.is_file() and path.suffix == ".jsonl":
        return read_manifest(path)
    if path.is_dir() and (path / "wav.scp").is_file():
        return read_kaldi_dir(path)
    if path.is_dir():
        return read_audio_folder(path)
    raise ManifestError(
        "cannot be read as a set of utterances" if path.exists() else "no such file or folder",
        where=path,
        expected="a manifest (.jsonl), a Kaldi data directory, or a folder of audio with .txt or .trn beside",
    )


def read_audio_folder(folder: Path) -> list[Utterance]:
    """Read all audio below a folder, each file with a transcript of the same name beside it.

    The transcript is ``name.txt`` with the words, ``name.trn`` with the words or ``words (utt_id)``,
    or a line ``words (name)`` of any ``.trn`` file. The utt_id is the path below the folder with "-" for
    "/", without suffix. The speaker is the name of the subfolder; of a file that lies in the folder
    itself nothing is known, so each is a speaker of its own.

    Raises:
        ManifestError: For audio without a transcript, a transcript without audio, an empty or doubled one.
        AudioError: For audio that is unreadable.
    """
    files = [path for path in files_below(folder) if not path.name.startswith(".")]
    recordings = [path for path in files if path.suffix.lower() in AUDIO_SUFFIXES]
    if not recordings:
        raise ManifestError(
            "no audio in the folder", where=folder, expected=f"files {', '.join(AUDIO_SUFFIXES)}"
        )
    texts, where_of = _transcripts(files, {path.with_suffix("") for path in recordings})
    utterances: dict[str, Utterance] = {}
    for path in recordings:
        relative = path.relative_to(folder)
        utt_id = "-".join(relative.with_suffix("").parts).replace(" ", "_")
        if utt_id in utterances:
            raise ManifestError(f'utt_id "{utt_id}" is there twice', where=path, got=utterances[utt_id].audio)
        keys = (path.with_suffix(""), Path(utt_id), Path(path.stem))
        key = next((key for key in keys if key in texts), None)
        if key is None:
            expected = f"{path.stem}.txt or {path.stem}.trn beside it"
            raise ManifestError("audio has no transcript", where=path, expected=expected)
        info = audio_info(path, utt_id=utt_id)
        utterances[utt_id] = Utterance(
            utt_id=utt_id,
            speaker=relative.parts[0].replace(" ", "_") if len(relative.parts) > 1 else utt_id,
            audio=str(path.absolute()),
            num_samples=info.num_samples,
            sampling_rate=info.sampling_rate,
            text=texts.pop(key),
        )
    if texts:
        orphan = next(iter(texts))
        raise ManifestError(
            f'{len(texts)} transcripts without audio, "{orphan.name}" the first',
            where=where_of[orphan],
            hint="restore the audio or remove the transcript",
        )
    return [utterances[utt_id] for utt_id in sorted(utterances)]


def _transcripts(files: list[Path], recordings: set[Path]) -> tuple[dict[Path, str], dict[Path, str]]:
    """Return text and place of each transcript, by the recording's path without suffix or its bare name."""
    texts: dict[Path, str] = {}
    where_of: dict[Path, str] = {}
    for path in files:
        name, suffix = path.with_suffix(""), path.suffix.lower()
        if suffix == ".trn" and name not in recordings:
            for number, line in enumerate(read_utf8(path, ManifestError).splitlines(), start=1):
                if line.strip():
                    key, words = _trn_line(line, f"{path}:{number}")
                    if key in texts:
                        raise ManifestError(f'"{key}" is there twice', where=f"{path}:{number}")
                    texts[key], where_of[key] = words, f"{path}:{number}"
        elif suffix == ".trn" or _is_transcript(path):
            words = _one_text(path)
            if texts.get(name, words) != words:
                raise ManifestError("the transcripts differ", where=path, got=f'"{words}", "{texts[name]}"')
            texts[name], where_of[name] = words, str(path)
    return texts, where_of


def _is_transcript(path: Path) -> bool:
    return path.suffix.lower() == ".txt" and not path.name.lower().startswith(_NOTES)


def _one_text(path: Path) -> str:
    """Return the words of a file that belongs to one recording; an id in parentheses may follow them."""
    text = " ".join(read_utf8(path, ManifestError).split())
    match = _TRN_LINE.match(text) if path.suffix.lower() == ".trn" else None
    words = match["words"] if match else text
    if not words:
        raise ManifestError("the transcript is empty", where=path, hint="remove it together with its audio")
    return words


def _trn_line(line: str, where: str) -> tuple[Path, str]:
    match = _TRN_LINE.match(" ".join(line.split()))
    if match is None or not match["words"]:
        raise ManifestError("malformed line", where=where, expected="words (utt_id)", got=line.strip()[:60])
    return Path(match["utt_id"]), match["words"]
