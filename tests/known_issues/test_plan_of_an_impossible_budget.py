"""A budget of 0 bytes or nats was a traceback of ``shards plan``, once all of the plan had been computed."""

from __future__ import annotations

from pathlib import Path

import pytest

from asr_kd.cli import main


@pytest.mark.parametrize("option", ["--max-bytes-per-frame", "--max-divergence"])
@pytest.mark.parametrize("value", ["0", "-3", "nan"])
def test_is_refused_before_anything_is_read(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    option: str,
    value: str,
) -> None:
    monkeypatch.setattr("sys.argv", ["asr-kd", "shards", "plan", str(tmp_path), option, value])
    with pytest.raises(SystemExit, match="1"):
        main()
    expected = f"error: {option}: a budget that no code fits; expected a number above 0, got {value}\n"
    assert capsys.readouterr().err == expected
