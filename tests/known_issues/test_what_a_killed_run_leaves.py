"""A run that SIGTERM or SIGKILL ended left its temporary copies behind, and no later run removed them: a disk
filled by one copy of the features a restart.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import typer

from asr_kd.atomic import atomic_dir, atomic_path, temporary_dir
from asr_kd.cli import app as command_line
from asr_kd.errors import how_to_go_on

WRITING = """\
import sys
from pathlib import Path
from asr_kd.atomic import atomic_dir, atomic_path, temporary_dir

work = Path(sys.argv[1])
with temporary_dir(work / "views"), atomic_dir(work / "train") as folder, atomic_path(work / "last") as file:
    (folder / "frames").touch()
    file.touch()
    print("begun", flush=True)
    sys.stdin.read()
"""
REPOSITORY = Path(__file__).resolve().parents[2]


@contextmanager
def _writing(work: Path) -> Iterator[None]:
    """Let another run write the same things within the block; it is killed afterwards."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", WRITING, str(work)], cwd=REPOSITORY, **pipes) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == b"begun\n"
        yield
        run.kill()


def _write(work: Path) -> None:
    with temporary_dir(work / "views"), atomic_dir(work / "train"), atomic_path(work / "last") as file:
        file.touch()


def _hidden(work: Path) -> list[str]:
    return sorted(path.name for path in work.glob(".*"))


def test_the_next_run_removes_it(tmp_path: Path) -> None:
    with _writing(tmp_path):
        pass
    assert len(_hidden(tmp_path)) == 3
    _write(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["last", "train"]


def test_what_a_run_still_writes_is_left_alone(tmp_path: Path) -> None:
    with _writing(tmp_path):
        before = _hidden(tmp_path)
        _write(tmp_path)
        assert _hidden(tmp_path) == before
        assert len(before) == 3


def test_so_is_what_a_run_of_another_machine_left(tmp_path: Path) -> None:
    with _writing(tmp_path):
        pass
    for path in tmp_path.glob(".*"):
        # Of a container, say, whose name and process ids a restart changes.
        path.rename(path.with_name(path.name.replace(f".{os.uname().nodename}.", ".elsewhere.")))
    assert len(_hidden(tmp_path)) == 3
    _write(tmp_path)
    assert _hidden(tmp_path) == []


def _as_command(monkeypatch: pytest.MonkeyPatch, command: Callable[[], None]) -> None:
    made = typer.Typer()
    made.callback()(lambda: None)
    made.command("run")(command)
    monkeypatch.setattr(command_line, "app", made)
    monkeypatch.setattr(sys, "argv", ["asr-kd", "run"])


@pytest.fixture
def _usual_signals() -> Iterator[None]:
    """Keep a SIGTERM that nothing catches from ending the test run; in the background SIGINT is ignored."""
    handlers = {signal.SIGTERM: lambda number, frame: None, signal.SIGINT: signal.default_int_handler}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("_usual_signals")
@pytest.mark.parametrize(
    ("number", "code", "line"), [(signal.SIGTERM, 143, "terminated"), (signal.SIGINT, 130, "interrupted")]
)
def test_a_signal_ends_the_command_line_without_leaving_any(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    number: signal.Signals,
    code: int,
    line: str,
) -> None:
    def run() -> None:
        with atomic_dir(tmp_path / "train") as folder:
            (folder / "frames").touch()
            signal.raise_signal(number)

    _as_command(monkeypatch, run)
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as ended:
        command_line.main()
    assert ended.value.code == code
    assert capsys.readouterr().err == f"{line}; run the same command again to go on\n"
    assert list(tmp_path.iterdir()) == []
    assert signal.getsignal(signal.SIGTERM) is handler


@pytest.mark.usefixtures("_usual_signals")
def test_a_second_signal_does_not_break_off_the_clearing_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run() -> None:
        with temporary_dir(tmp_path / "views"):
            try:
                signal.raise_signal(signal.SIGTERM)
            finally:
                signal.raise_signal(signal.SIGTERM)
                (tmp_path / "cleared").touch()

    _as_command(monkeypatch, run)
    with pytest.raises(SystemExit):
        command_line.main()
    assert [path.name for path in tmp_path.iterdir()] == ["cleared"]


def test_a_process_of_the_command_line_can_be_terminated(monkeypatch: pytest.MonkeyPatch) -> None:
    codes = []

    def run() -> None:
        with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as worker:
            worker.terminate()
            codes.append(worker.wait())

    _as_command(monkeypatch, run)
    with pytest.raises(SystemExit):
        command_line.main()
    assert codes == [-signal.SIGTERM]


def test_a_forced_run_goes_on_from_its_stage() -> None:
    assert how_to_go_on(force=False) == "run the same command again to go on"
    assert "--from-stage" in how_to_go_on(force=True)
