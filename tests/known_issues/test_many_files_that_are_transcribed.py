"""``transcribe`` printed nothing before all files were recognised, and lost all of them with a damaged one or
Ctrl-C, which promised that the same command would go on.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from asr_kd.cli import app as command_line
from asr_kd.data.audio_folder import read_audio_folder
from asr_kd.decode.worker import GraphDecoder
from asr_kd.errors import AudioError
from asr_kd.recogniser import Recogniser
from asr_kd.stages.base import WorkDir
from tests.support.untrained_recogniser import RATE, write_recognisers, write_takes


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> WorkDir:
    """A work folder with a student."""
    return write_recognisers(tmp_path_factory.mktemp("work"), "student")


@pytest.fixture
def takes(tmp_path: Path) -> list[Path]:
    """Four recordings."""
    return write_takes(tmp_path / "audio", "tea", "to", "sat", "eat")


def _damaged(path: Path) -> Path:
    """Return a recording whose header is whole, and its samples not."""
    found = path.with_suffix(".flac")
    soundfile.write(found, 0.1 * np.random.default_rng(1).standard_normal(RATE), RATE)
    content = bytearray(found.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 40] = bytes(40)
    found.write_bytes(content)
    return found


@pytest.mark.parametrize("options", [[], ["--nbest", "1"]])
def test_what_comes_before_a_damaged_one_is_printed(
    work: WorkDir, takes: list[Path], options: list[str]
) -> None:
    files = [*takes[:2], _damaged(takes[2]), takes[3]]
    done = CliRunner().invoke(command_line.app, ["transcribe", str(work.root), *map(str, files), *options])
    assert isinstance(done.exception, AudioError)
    assert str(files[2]) in str(done.exception)
    assert [line.partition(":")[0] for line in done.stdout.splitlines()] == [str(path) for path in takes[:2]]


def test_its_word_times_are_kept(work: WorkDir, takes: list[Path], tmp_path: Path) -> None:
    files, ctm = [*takes[:2], _damaged(takes[2])], tmp_path / "out.ctm"
    options = ["--ctm", str(ctm)]
    done = CliRunner().invoke(command_line.app, ["transcribe", str(work.root), *map(str, files), *options])
    assert isinstance(done.exception, AudioError)
    assert {line.split()[0] for line in ctm.read_text().splitlines()} == {"take0", "take1"}
    assert f"{ctm}: the first 2 of 3 files alone" in done.stderr
    ctm.unlink()
    done = CliRunner().invoke(command_line.app, ["transcribe", str(work.root), str(files[2]), *options])
    assert isinstance(done.exception, AudioError)
    assert not ctm.exists()


@pytest.mark.parametrize("command", ["transcribe", "evaluate"])
def test_an_interruption_promises_nothing(
    work: WorkDir,
    takes: list[Path],
    command: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    decode, left = GraphDecoder.decode, iter((True, True))

    def interrupted(decoder: GraphDecoder, *arguments: object) -> object:
        if not next(left, False):
            raise KeyboardInterrupt
        return decode(decoder, *arguments)

    monkeypatch.setattr(GraphDecoder, "decode", interrupted)
    files = map(str, takes) if command == "transcribe" else [str(takes[0].parent)]
    monkeypatch.setattr(sys, "argv", ["asr-kd", command, str(work.root), *files, "--jobs", "1"])
    with pytest.raises(SystemExit) as ended:
        command_line.main()
    assert ended.value.code == 130
    printed = capsys.readouterr()
    assert printed.err.splitlines()[-1] == "interrupted"
    assert len(printed.out.splitlines()) == (2 if command == "transcribe" else 0)


def test_scores_are_the_same_in_turn(work: WorkDir, takes: list[Path]) -> None:
    recogniser = Recogniser.load(work.recognisers / "student")
    speakers = ("a", "b", "a", "c")
    rows = [
        replace(row, speaker=speaker)
        for row, speaker in zip(read_audio_folder(takes[0].parent), speakers, strict=True)
    ]
    together, in_turn = (list(recogniser.log_likelihoods(rows, None, each)) for each in (False, True))
    assert [utt_id for utt_id, _ in in_turn] == [utt_id for utt_id, _ in together]
    for (_, expected), (_, found) in zip(together, in_turn, strict=True):
        assert np.array_equal(expected, found)
