"""A recogniser folder's WER was printed as that of ``--system``, the student's when nothing was said."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from asr_kd.cli.app import app
from asr_kd.errors import ModelError
from asr_kd.stages.base import WorkDir
from tests.support.untrained_recogniser import write_recognisers, write_takes


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> WorkDir:
    """A work folder with two systems."""
    return write_recognisers(tmp_path_factory.mktemp("work"), "student", "baseline")


@pytest.fixture(scope="module")
def audio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of audio with transcripts."""
    folder = tmp_path_factory.mktemp("heard")
    write_takes(folder, "tea to", "sat")
    return folder


def _scored(model: Path, audio: Path, *options: str) -> str:
    """Return the name under which a WER is printed."""
    command = ["evaluate", str(model), str(audio), "--jobs", "1", "--worst", "0", *options]
    done = CliRunner().invoke(app, command, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout.splitlines()[-1].rpartition(" ] ")[2]


def test_the_wer_has_the_name_of_what_was_loaded(
    work: WorkDir, audio: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    baseline = work.recognisers / "baseline"
    assert _scored(baseline, audio) == f"baseline {audio.name}"
    assert _scored(baseline, audio, "--system", "baseline") == f"baseline {audio.name}"
    monkeypatch.chdir(baseline)
    assert _scored(Path(), audio) == f"baseline {audio.name}"


def test_a_work_folder_is_its_students_unless_it_is_said(work: WorkDir, audio: Path) -> None:
    assert _scored(work.root, audio) == f"student {audio.name}"
    assert _scored(work.root, audio, "--system", "baseline") == f"baseline {audio.name}"


@pytest.mark.parametrize("command", ["evaluate", "transcribe"])
def test_another_system_is_refused(work: WorkDir, audio: Path, command: str) -> None:
    folder = work.recognisers / "baseline"
    heard = audio if command == "evaluate" else audio / "take0.wav"
    message = (
        r"baseline: a recogniser folder .* expected no --system, or --system baseline, got --system nosuch"
    )
    with pytest.raises(ModelError, match=message):
        CliRunner().invoke(
            app, [command, str(folder), str(heard), "--system", "nosuch"], catch_exceptions=False
        )


def test_an_unknown_system_of_a_work_folder_lists_those_that_it_has(work: WorkDir, audio: Path) -> None:
    with pytest.raises(ModelError, match='no recogniser "nosuch" here; expected one of baseline, student'):
        CliRunner().invoke(
            app, ["evaluate", str(work.root), str(audio), "--system", "nosuch"], catch_exceptions=False
        )
