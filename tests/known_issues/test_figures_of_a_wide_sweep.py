"""A sweep of many systems was printed in 80 columns, with three dots in the place of every figure."""

from __future__ import annotations

import pytest

from asr_kd.cli.show import print_sweep
from asr_kd.report.sweeps import SweptPoint

_SYSTEMS = ("baseline", "ensemble", "student", "baseline-smbr", "student-smbr", "baseline-mmi", "student-mmi")


def test_are_all_there_in_a_narrow_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    rates = {system: [0.5 + place / 100, 0.52] for place, system in enumerate(_SYSTEMS)}
    print_sweep([SweptPoint(settings={"sequence.criterion": "smbr"}, frame_accuracy=rates, wer=rates)])
    printed = capsys.readouterr().out
    assert "…" not in printed
    for values in rates.values():
        assert printed.count(f"{100 * sum(values) / 2:.2f} ±") == 2
