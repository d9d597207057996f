"""Features or alignments that could not be written gave a traceback, as the system's error named no file."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from asr_kd.atomic import atomic_dir, plain_errors, write_json
from asr_kd.cli import app as command_line
from asr_kd.data.frame_store import FRAMES_FILE, INDEX_FILE, FrameStoreWriter
from tests.support.full_disk import files_end_early


def _write(folder: Path, num_utterances: int, num_frames: int) -> None:
    with atomic_dir(folder) as temporary, FrameStoreWriter(temporary, "float32", ()) as writer:
        for number in range(num_utterances):
            writer.add(f"utterance {number}", np.zeros(num_frames, np.float32))


@pytest.mark.parametrize(
    ("num_utterances", "num_frames", "name"),
    [
        (1, 100_000, FRAMES_FILE),  # at once
        (1, 1_000, FRAMES_FILE),  # when the writer is closed
        (300, 0, INDEX_FILE),
    ],
)
def test_the_file_is_named(tmp_path: Path, num_utterances: int, num_frames: int, name: str) -> None:
    with files_end_early(), pytest.raises(OSError, match="File too large") as caught:
        _write(tmp_path / "train", num_utterances, num_frames)
    path = Path(caught.value.filename)
    assert (path.name, caught.value.errno) == (name, errno.EFBIG)
    assert path.parent.name.startswith(".train.")
    assert list(tmp_path.iterdir()) == []


def test_so_it_is_of_other_files(tmp_path: Path) -> None:
    with files_end_early(), pytest.raises(OSError, match=r"facts\.json"):
        write_json(tmp_path / "facts.json", "x" * 3_000)
    with files_end_early(), pytest.raises(OSError, match="weights"), plain_errors(tmp_path / "weights"):
        raise RuntimeError("of a library")


def test_the_command_line_says_it_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command_line, "app", lambda: _write(tmp_path / "train", 1, 100_000))
    with files_end_early(), pytest.raises(SystemExit, match="1"):
        command_line.main()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {tmp_path}{os.sep}")
    assert f"{FRAMES_FILE}: File too large" in line
