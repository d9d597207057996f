"""What a user may get wrong is answered in one line that says what, where, expected, got and what to do."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr_kd.errors import AsrKdError
from asr_kd.pipeline import Pipeline
from tests.support.tones import tones_pipeline


def _pipeline(work: Path, *overrides: str) -> Pipeline:
    return tones_pipeline(work.parent / f"{work.name}-recipe", work, *overrides)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    work = tmp_path_factory.mktemp("bad") / "work"
    _pipeline(work, "corpus.options.utterances=4").run(to_stage="prepare")
    return work


@pytest.fixture
def work(prepared: Path, tmp_path: Path) -> Path:
    shutil.copytree(prepared, tmp_path / "work")
    return tmp_path / "work"


def _error(work: Path, *overrides: str) -> str:
    """Run up to alignment, expect an error a user can act on, and return its line."""
    with pytest.raises(AsrKdError) as caught:
        _pipeline(work, "corpus.options.utterances=4", *overrides).run(to_stage="align")
    line = str(caught.value)
    assert "\n" not in line
    assert (work / "stages" / "prepare.json").is_file(), "finished work was touched"
    assert not (work / "stages" / "align.json").exists()
    return line


def _rows(work: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (work / "corpus" / "train.jsonl").read_text().splitlines()]


def _write_rows(work: Path, rows: list[dict[str, object]]) -> None:
    (work / "corpus" / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def _audio(work: Path, utt_id: str = "s2-01") -> Path:
    return work / "corpus" / "audio" / f"{utt_id}.flac"


def _missing(work: Path) -> None:
    _audio(work).unlink()


def _truncated(work: Path) -> None:
    data = _audio(work).read_bytes()
    _audio(work).write_bytes(data[: len(data) // 2])


def _shorter(work: Path) -> None:
    samples, rate = soundfile.read(_audio(work))
    soundfile.write(_audio(work), samples[:-400], rate)


def _not_audio(work: Path) -> None:
    _audio(work).write_text("not audio")


def _other_rate(work: Path) -> None:
    samples, _ = soundfile.read(_audio(work))
    soundfile.write(_audio(work), samples, 16000)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_missing, ["s2-01"]),
        (_truncated, ["s2-01"]),
        (_shorter, ["s2-01", "expected", "samples"]),
        (_not_audio, ["s2-01"]),
        (_other_rate, ["s2-01", "8000 Hz", "16000 Hz"]),
    ],
)
def test_bad_audio(work: Path, spoil: Callable[[Path], None], words: list[str]) -> None:
    spoil(work)
    line = _error(work)
    for word in words:
        assert word in line


def test_nan_audio(work: Path) -> None:
    rows = _rows(work)
    samples, rate = soundfile.read(_audio(work, "s1-00"))
    samples[100] = np.nan
    soundfile.write(work / "corpus" / "audio" / "nan.wav", samples, rate, subtype="FLOAT")
    rows[0]["audio"] = "audio/nan.wav"
    _write_rows(work, rows)
    line = _error(work)
    assert "NaN" in line
    assert str(rows[0]["utt_id"]) in line


def test_doubled_utt_id_has_its_line(work: Path) -> None:
    rows = _rows(work)
    _write_rows(work, [*rows, rows[2]])
    line = _error(work)
    assert f"train.jsonl:{len(rows) + 1}" in line
    assert str(rows[2]["utt_id"]) in line
    assert "line 3" in line


def test_empty_transcript_has_its_line(work: Path) -> None:
    rows = _rows(work)
    rows[4]["text"] = "  "
    _write_rows(work, rows)
    line = _error(work)
    assert "train.jsonl:5" in line
    assert "empty transcript" in line


def test_malformed_manifest_row_has_its_line(work: Path) -> None:
    path = work / "corpus" / "train.jsonl"
    lines = path.read_text().splitlines()
    lines[1] = lines[1][:-5]
    path.write_text("\n".join(lines) + "\n")
    assert "train.jsonl:2" in _error(work)


def test_word_that_the_lexicon_lacks(work: Path) -> None:
    rows = _rows(work)
    rows[0]["text"] = "alba zebra"
    _write_rows(work, rows)
    line = _error(work)
    assert "zebra" in line
    assert "lexicon" in line


def test_malformed_lexicon_line_has_its_number(work: Path) -> None:
    path = work / "corpus" / "lexicon.txt"
    path.write_text(path.read_text() + "nophones\n")
    line = _error(work)
    assert "lexicon.txt:5" in line
    assert "nophones" in line


def test_utterances_too_short_for_their_transcripts(work: Path) -> None:
    rows = _rows(work)
    for row in rows:
        row["text"] = " ".join(["alba boca cado dora"] * 20)
    _write_rows(work, rows)
    line = _error(work)
    assert "too short for its transcript" in line
    assert "failed" in line


def test_unknown_frontend_lists_the_known_ones(work: Path) -> None:
    line = _error(work, "frontend=fbanks")
    assert "fbanks" in line
    assert "librosa_logmel" in line


def test_frontend_class_that_is_not_there(work: Path) -> None:
    assert "no_such_module" in _error(work, "frontend=no_such_module:Frontend")


def test_unknown_option_of_a_frontend(work: Path) -> None:
    assert "num_bins" in _error(work, "frontend.options.num_bins=40")


def test_full_disk_is_one_line(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    from asr_kd.data.frame_store import FrameStoreWriter

    def full(self: FrameStoreWriter, utt_id: str, frames: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(FrameStoreWriter, "add", full)
    line = _error(work)
    assert "disk is full" in line
    assert "features" in line
