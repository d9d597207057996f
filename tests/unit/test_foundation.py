"""Errors, fingerprints, atomic writing and progress."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from pydantic import BaseModel

from asr_kd import errors, progress
from asr_kd.atomic import atomic_dir, atomic_path, write_json, write_text
from asr_kd.errors import AsrKdError, LexiconError
from asr_kd.fingerprint import file_sha256, fingerprint, unless


def test_error_line_has_where_what_expected_got_and_hint() -> None:
    error = LexiconError(
        'phone "AXR" is unknown',
        where="lexicon.txt:412",
        expected="one of phones",
        got="AXR",
        hint="add it",
    )
    assert str(error) == 'lexicon.txt:412: phone "AXR" is unknown; expected one of phones, got AXR; add it'
    assert isinstance(error, ValueError)


@pytest.mark.parametrize(
    ("parts", "line"),
    [
        ({}, "it is wrong"),
        ({"where": Path("a/b.txt")}, "a/b.txt: it is wrong"),
        ({"got": 0}, "it is wrong; got 0"),
        ({"expected": 3}, "it is wrong; expected 3"),
        ({"expected": 3, "got": 0}, "it is wrong; expected 3, got 0"),
        ({"hint": "mend it"}, "it is wrong; mend it"),
    ],
)
def test_missing_parts_of_an_error_leave_no_trace(parts: dict[str, object], line: str) -> None:
    assert str(AsrKdError("it is wrong", **parts)) == line  # type: ignore[arg-type]  # any mixture of parts


def test_an_error_is_one_line_whatever_it_quotes() -> None:
    assert str(AsrKdError("bad\nrow", got="a\n\n  b")) == "bad row; got a b"


def test_every_error_class_is_of_the_family() -> None:
    classes = [value for value in vars(errors).values() if isinstance(value, type)]
    family = [cls for cls in classes if issubclass(cls, Exception)]
    assert len(family) > 10
    assert all(issubclass(cls, AsrKdError) for cls in family)


def test_fingerprint_follows_the_value_and_not_the_order_of_keys() -> None:
    assert fingerprint({"a": 1, "b": [1, 2]}) == fingerprint({"b": [1, 2], "a": 1})
    values = [{"a": 1}, {"a": 2}, {"b": 1}, {"a": "1"}, {"a": [1]}, [1, 2], [2, 1], None, "", 0, False]
    assert len({fingerprint(value) for value in values}) == len(values)


def test_fingerprint_is_the_start_of_the_sha256_of_compact_json() -> None:
    text = '{"a":1,"\\u00e9":[0.5,null]}'
    assert fingerprint({"é": [0.5, None], "a": 1}) == hashlib.sha256(text.encode()).hexdigest()[:16]


class _Older(BaseModel):
    rate: float = 0.1


class _Newer(_Older):
    optimiser: str = unless("adamw")
    passes: dict[str, int] = unless({})


def test_a_later_setting_changes_the_fingerprint_only_where_it_is_used() -> None:
    assert _Newer().model_dump() == _Older().model_dump()
    assert _Newer(optimiser="adamw", passes={}).model_dump_json() == _Older().model_dump_json()
    used = _Newer(optimiser="muon", passes={"train": 2})
    assert used.model_dump() == {"rate": 0.1, "optimiser": "muon", "passes": {"train": 2}}
    assert _Newer.model_validate(used.model_dump()) == used
    assert _Newer.model_validate(_Newer().model_dump()) == _Newer()


def test_sha256_of_a_file_of_several_chunks(tmp_path: Path) -> None:
    data = bytes(range(256)) * 10_000
    (tmp_path / "file").write_bytes(data)
    assert file_sha256(tmp_path / "file") == hashlib.sha256(data).hexdigest()


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_written_atomically_replaces_the_old_one_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.txt"
    write_text(path, "old")
    write_text(path, "new é")
    assert path.read_text(encoding="utf-8") == "new é"
    assert _names(path.parent) == ["file.txt"]
    write_json(tmp_path / "v.json", {"a": [1], "ö": None})
    text = (tmp_path / "v.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"a": [1], "ö": None}
    assert text.endswith("}\n")


def test_a_failed_write_leaves_the_old_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")

    def write_half() -> None:
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_half()
    assert path.read_text() == "old"
    assert _names(tmp_path) == ["file.txt"]


def test_the_final_name_is_not_there_before_the_block_ends(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "file") as temporary:
        temporary.write_text("x")
        assert not (tmp_path / "file").exists()
        assert temporary.parent == tmp_path  # a rename within one file system is atomic
    assert (tmp_path / "file").read_text() == "x"


def test_a_folder_written_atomically_replaces_the_whole_old_one(tmp_path: Path) -> None:
    for name in ("first", "second"):
        with atomic_dir(tmp_path / "out") as folder:
            (folder / name).write_text(name)
    assert _names(tmp_path / "out") == ["second"]
    assert _names(tmp_path) == ["out"]


def test_a_failed_folder_leaves_the_old_one_as_it_was(tmp_path: Path) -> None:
    with atomic_dir(tmp_path / "out") as folder:
        (folder / "whole").write_text("")

    def write_half() -> None:
        with atomic_dir(tmp_path / "out") as folder:
            (folder / "half").write_text("")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert _names(tmp_path / "out") == ["whole"]
    assert _names(tmp_path) == ["out"]


class _Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> _Clock:
    made = _Clock()
    monkeypatch.setattr(progress.time, "monotonic", made)
    return made


@pytest.fixture
def _no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("_no_terminal")
def test_progress_prints_a_line_with_rate_and_time_left_every_15_seconds(
    clock: _Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with progress.progress("decode", total=1000, unit="utts") as meter:
        clock.now += 10
        meter.advance(100)
        assert capsys.readouterr().err == ""
        clock.now += 10
        meter.advance(100, note="WER 9 %")
        # 200 in 20 s are 10 a second, 800 more take 80 s.
        assert capsys.readouterr().err == "decode: 200 of 1,000 utts, 10/s, 1:20 left, WER 9 %\n"
        clock.now += 1
        meter.advance(800)
    # 1,000 in 21 s: 47.6 a second.
    assert capsys.readouterr().err == "decode: 1,000 of 1,000 utts, 48/s, 0:00 left, WER 9 %, took 0:21\n"


@pytest.mark.usefixtures("_no_terminal")
def test_short_work_prints_nothing_and_track_passes_every_item(
    clock: _Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    assert list(progress.track(iter("abc"), "spell")) == ["a", "b", "c"]
    clock.now += 3
    assert capsys.readouterr().err == ""


def test_a_meter_without_a_total_shows_what_is_done(clock: _Clock) -> None:
    meter = progress.Meter("count", None, "words")
    clock.now += 4
    meter.advance(2)
    assert meter.line() == "count: 2 words, 0.5/s"


def test_long_times_have_hours(clock: _Clock) -> None:
    meter = progress.Meter("train", 7300, "batches")
    clock.now += 100
    meter.advance(100)
    assert meter.line() == "train: 100 of 7,300 batches, 1/s, 2:00:00 left"
