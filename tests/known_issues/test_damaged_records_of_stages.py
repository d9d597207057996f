"""A record of a stage that was empty or cut off, as by a copy, was a traceback without a path."""

from __future__ import annotations

from pathlib import Path

import pytest

from asr_kd.errors import StageError
from tests.support.tones import FEW_TONES, tones_pipeline


@pytest.mark.parametrize("left", [0, 20])
def test_is_named_with_what_to_do(tmp_path: Path, left: int) -> None:
    pipeline = tones_pipeline(tmp_path / "recipe", tmp_path / "work", *FEW_TONES)
    pipeline.run(to_stage="prepare")
    record = tmp_path / "work" / "stages" / "prepare.json"
    record.write_bytes(record.read_bytes()[:left])
    with pytest.raises(StageError, match="damaged") as refused:
        pipeline.status()
    assert str(record) in str(refused.value)
    assert "remove it" in str(refused.value)
    record.unlink()
    pipeline.run(to_stage="prepare")
