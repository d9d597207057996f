"""Lines that were printed for a file or pipe, while a bar was on the terminal, went to the terminal."""

from __future__ import annotations

import io
import sys

import pytest

from asr_kd.progress import progress


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_on_the_terminal_leaves_a_file_its_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = _Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress("recognise", 2, "files") as outer:
        print("a.wav: tea")
        with progress("features", 1, "files") as inner:
            inner.advance()
        outer.advance()
        print("b.wav: to")
    assert capsys.readouterr().out == "a.wav: tea\nb.wav: to\n"
    assert "recognise" in terminal.getvalue()
    assert not [text for text in ("a.wav", "features") if text in terminal.getvalue()]
    with progress("score", 1, "files"):
        pass
    assert "score" in terminal.getvalue()
