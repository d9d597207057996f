"""Wrong addresses of shards gave a traceback, and a command that failed was called a wrong checksum."""

from __future__ import annotations

from pathlib import Path

import pytest

from asr_kd.data.remote import FileSource, open_location
from asr_kd.errors import AsrKdError


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("http://host:80a/x", "http://host:80a/x: cannot be read: nonnumeric port"),
        ("http://a b/x", "cannot be read"),
        ("pipe:cat '/x", "pipe:cat '/x: malformed command: No closing quotation"),
        ("pipe:", "no command"),
        ("pipe:no-such-program x", "the command cannot be run: No such file"),
    ],
)
def test_are_refused_in_one_line(location: str, message: str) -> None:
    with pytest.raises(AsrKdError, match=message), open_location(location) as stream:
        stream.read()


def test_a_command_that_fails_is_told_from_a_wrong_file(tmp_path: Path) -> None:
    source = FileSource("pipe:false {}", tmp_path)
    with pytest.raises(AsrKdError, match="the command failed"), source.open("a", "00" * 32):
        pass
    assert list(tmp_path.iterdir()) == []
