"""Entry point: collects the commands and turns errors that a user can act on into one line."""

from __future__ import annotations

import os
import sys
import traceback

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
from asr_kd.errors import AsrKdError

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


def main() -> None:
    """Run the command line; exit code 1 and one line for what a user can mend, 130 for an interrupt."""
    try:
        app()
    except AsrKdError as error:
        print(f"error: {error}", file=sys.stderr)
        if os.environ.get("ASR_KD_TRACEBACK"):
            traceback.print_exc()
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted; run the same command again to go on", file=sys.stderr)
        sys.exit(130)
