"""Entry point: collects the commands and turns errors that a user can act on into one line."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

import typer

from asr_kd import __version__
from asr_kd.cli import (
    frontend_commands,
    recipe_commands,
    recognise_commands,
    score_commands,
    shard_commands,
    transcribe_command,
    tree_commands,
)
from asr_kd.errors import AsrKdError, how_to_go_on
from asr_kd.train import distributed

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Distil an ensemble of speech acoustic models into a single one, and score it by WER.",
)
recipe_commands.register(app)
recognise_commands.register(app)
transcribe_command.register(app)
score_commands.register(app)
frontend_commands.register(app)
tree_commands.register(app)
app.add_typer(shard_commands.app, name="shards")


@app.command()
def version() -> None:
    """Print the version."""
    print(__version__)


_ENDED = {128 + signal.SIGINT: "interrupted", 128 + signal.SIGTERM: "terminated"}
"""By exit code, what ended the run before it was done."""
_GO_ON = ("run", "sweep", "train-student")
"""Commands that keep what they have done; all others begin anew."""


def main() -> None:
    """Run the command line.

    Exit code 1 and one line for what a user can mend, 130 for Ctrl-C, 143 for SIGTERM.
    """
    _find_modules_here()
    try:
        with _unwound_by_sigterm():
            app()
    except AsrKdError as error:
        _end(str(error))
    except OSError as error:
        if error.filename is None:  # none of a file that somebody named
            raise
        _end(f"{error.filename}: {error.strerror} (ASR_KD_TRACEBACK=1 shows where)")
    except SystemExit as end:
        # typer makes Ctrl-C such an end too.
        if end.code in _ENDED:
            goes_on = sys.argv[1:2] and sys.argv[1] in _GO_ON
            hint = f"; {how_to_go_on('--force' in sys.argv)}" if goes_on else ""
            print(f"{_ENDED[end.code]}{hint}", file=sys.stderr)
        raise


def _find_modules_here() -> None:
    """Let a user's own corpora and nets be imported from the current folder, as ``python -m asr_kd`` does.

    An installed command looks in its own folder alone. Last, so that nothing here hides what is installed.
    """
    if not {"", os.getcwd()} & set(sys.path):
        sys.path.append(os.getcwd())


def _end(message: str) -> NoReturn:
    print(f"error: {message}", file=sys.stderr)
    if os.environ.get("ASR_KD_TRACEBACK"):
        traceback.print_exc()
    sys.exit(1)


@contextmanager
def _unwound_by_sigterm() -> Iterator[None]:
    """Let SIGTERM leave the block as Ctrl-C does, so that temporary files and processes go with the run.

    Not under ``torchrun``: a rank that waits for the others would not look at the signal.
    """
    if distributed.num_started() > 1:
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:
        # A second one, as of ``timeout``, would break off the clearing up.
        signal.signal(number, signal.SIG_IGN)
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
