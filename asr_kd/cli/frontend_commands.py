"""``check-frontend``: the contract of a frontend, before it is trained with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from asr_kd.config import parse_override
from asr_kd.data.audio import load_audio, resample
from asr_kd.errors import FrontendError
from asr_kd.frontend.check import check_named_frontend


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command("check-frontend")(check_frontend_command)


def check_frontend_command(
    frontend: Annotated[
        str, typer.Argument(help="fbank, mfcc, librosa_logmel or my_package.my_module:MyFrontend.")
    ],
    audio: Annotated[
        list[Path] | None, typer.Argument(metavar="[AUDIO]...", help="Recordings to try.")
    ] = None,
    options: Annotated[
        list[str] | None,
        typer.Option("--option", metavar="KEY=VALUE", help="Of the frontend; may be repeated."),
    ] = None,
) -> None:
    """Check dim, number of frames, dtype, finite values, determinism and fingerprint of a frontend."""
    settings: dict[str, Any] = {}
    for option in options or []:
        settings.update(parse_override(option, "--option"))
    recordings = []
    for path in audio or []:
        loaded = load_audio(path)
        recordings.append((path.name, loaded.samples, loaded.sampling_rate))
    report = check_named_frontend(frontend, settings, recordings, Path(), resample)
    print(report.render())
    if not report.ok:
        failed = [row for row in report.rows if not row.ok]
        raise FrontendError(f"{len(failed)} of {len(report.rows)} checks failed", where=frontend)
