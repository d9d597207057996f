"""A byte order mark made the first phone of a CTM silence without a word; Latin-1 gave a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest

from asr_kd.align.alignment_files import read_ctm, read_phone_symbols
from asr_kd.errors import AlignmentError

_MARK = b"\xef\xbb\xbf"


def test_the_first_phone_of_a_marked_ctm_is_read(tmp_path: Path) -> None:
    path = tmp_path / "phones.ctm"
    path.write_bytes(_MARK + b"u1 1 0.00 0.10 AH\nu1 1 0.10 0.20 B\n")
    (alignment,) = read_ctm(path, {"u1"})
    assert alignment.times is not None
    assert [time.phone for time in alignment.times] == ["AH", "B"]


def test_the_first_phone_of_a_marked_table_is_read(tmp_path: Path) -> None:
    path = tmp_path / "phones.txt"
    path.write_bytes(_MARK + b"AH 1\nB 2\n")
    assert read_phone_symbols(path)("1") == "AH"


def test_a_ctm_in_latin_1_is_named(tmp_path: Path) -> None:
    path = tmp_path / "phones.ctm"
    path.write_bytes("u1 1 0.00 0.10 é\n".encode("latin-1"))
    with pytest.raises(AlignmentError, match=r"phones\.ctm: not UTF-8 text .*convert it"):
        list(read_ctm(path, {"u1"}))


def test_a_table_in_latin_1_is_named(tmp_path: Path) -> None:
    path = tmp_path / "phones.txt"
    path.write_bytes("é 1\n".encode("latin-1"))
    with pytest.raises(AlignmentError, match=r"phones\.txt: not UTF-8 text .*convert it"):
        read_phone_symbols(path)
