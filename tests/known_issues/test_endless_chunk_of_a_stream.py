"""``transcribe --stream --chunk inf`` ended with a traceback, and so did a chunk of 1e305 s."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from asr_kd.cli.app import app
from asr_kd.errors import ConfigError
from tests.support.untrained_recogniser import write_recognisers, write_takes


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What streams a recording, but for the chunk."""
    folder = tmp_path_factory.mktemp("stream")
    work, takes = write_recognisers(folder / "work", "student"), write_takes(folder / "audio", "tea")
    return ["transcribe", str(work.root), str(takes[0]), "--stream", "--chunk"]


@pytest.mark.parametrize("chunk", ["inf", "nan", "0", "-inf"])
def test_is_refused(command: list[str], chunk: str) -> None:
    message = f"a chunk lasts more than 0 s and ends; expected seconds, such as 0.1, got {float(chunk)}"
    with pytest.raises(ConfigError, match=message):
        CliRunner().invoke(app, [*command, chunk], catch_exceptions=False)


def test_a_chunk_longer_than_the_recording_is_all_of_it(command: list[str]) -> None:
    printed = [
        CliRunner().invoke(app, [*command, chunk], catch_exceptions=False).stdout
        for chunk in ("1e305", "0.5")
    ]
    assert printed[0] == printed[1]
    assert printed[0].startswith("    0.50 s  ")
