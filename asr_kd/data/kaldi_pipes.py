"""Run the commands of a ``wav.scp``: only where the user allows it, and never by a shell."""

from __future__ import annotations

import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np

from asr_kd.data.audio import load_audio, write_audio
from asr_kd.errors import AudioError, ManifestError

_SHELL_CHARACTERS = frozenset("|&;<>()$`\\*?[]{}~!#\n")
_TIMEOUT_SECONDS = 600
_HINT = "write the command's output to a file and put its path here"


def parse_pipe(command: str, where: str) -> list[str]:
    """Return program and arguments of a command of the plain form ``program argument ... |``.

    Raises:
        ManifestError: For any other form: several programs, redirections, variables, patterns.
    """
    body = command.strip()
    if body.startswith("|") or not body.endswith("|"):
        raise ManifestError(
            "a command that does not write audio",
            where=where,
            expected="program argument ... |",
            got=body[:60],
        )
    body = body[:-1]
    found = sorted(_SHELL_CHARACTERS & set(body))
    if found:
        raise ManifestError(
            f"the command needs a shell (it has {' '.join(found)}), and none is run",
            where=where,
            expected="program argument ... |",
            got=command[:60],
            hint=_HINT,
        )
    try:
        arguments = shlex.split(body)
    except ValueError as error:
        raise ManifestError(f"malformed command ({error})", where=where, got=command[:60]) from None
    if not arguments:
        raise ManifestError("the command is empty", where=where, expected="program argument ... |")
    return arguments


@dataclass(frozen=True)
class PipeReader:
    """Runs each command once and keeps its audio as FLAC, since audio is read many times.

    Attributes:
        folder: Existing folder for the audio.
        working_folder: Where the commands start, so that their relative paths hold.
    """

    folder: Path
    working_folder: Path

    def __call__(self, recording_id: str, command: str, where: str) -> Path:
        """Return the file with a command's audio: mono, 16 bit.

        Raises:
            ManifestError: For a command that needs a shell, is not there, fails or hangs.
            AudioError: For output that is no audio.
        """
        output = self._run(parse_pipe(command, where), command, where)
        if not output:
            raise AudioError("the command wrote nothing", where=where, got=command[:60], hint=_HINT)
        audio = load_audio(_with_true_size(output), utt_id=f"{recording_id} of {where}")
        path = self.folder / f"{quote(recording_id, safe='')}.flac"
        # Decoded MP3 and floats go above full scale; 16 bits end there, as those that sox writes do.
        write_audio(path, np.clip(audio.samples, -1.0, 1.0), audio.sampling_rate)
        return path

    def _run(self, arguments: list[str], command: str, where: str) -> bytes:
        try:
            done = subprocess.run(  # noqa: S603  no shell; the user allowed the commands of this file
                arguments,
                cwd=self.working_folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_TIMEOUT_SECONDS,
                check=False,
            )
        except OSError as error:
            raise ManifestError(
                f'"{arguments[0]}" cannot be run ({error.strerror})',
                where=where,
                hint="install the program, or write its output to a file and put the path here",
            ) from None
        except subprocess.TimeoutExpired:
            raise ManifestError(
                f"the command ran for {_TIMEOUT_SECONDS} s", where=where, got=command[:60], hint=_HINT
            ) from None
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace").strip().splitlines()
            raise ManifestError(
                f"the command failed with exit status {done.returncode}",
                where=where,
                got=said[-1][:120] if said else command[:60],
                hint=f"try it in {self.working_folder}",
            )
        return done.stdout


def _with_true_size(audio: bytes) -> bytes:
    """Return a WAV whose header states the samples that are there.

    A program that writes to a pipe cannot know their number; its exit status says that they are whole.
    """
    if audio[:4] != b"RIFF" or audio[8:12] != b"WAVE":
        return audio
    position = 12
    while position + 8 <= len(audio):
        size = int.from_bytes(audio[position + 4 : position + 8], "little")
        start = position + 8
        if audio[position : position + 4] == b"data":
            present = len(audio) - start
            if 0 < size <= present:
                return audio
            riff = b"RIFF" + (len(audio) - 8).to_bytes(4, "little")
            return riff + audio[8 : position + 4] + present.to_bytes(4, "little") + audio[start:]
        position = start + size + size % 2
    return audio
