"""A damaged ``.arpa.gz`` gave a bare error of zlib; a byte order mark was blamed on the first line."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from asr_kd.errors import LanguageModelError
from asr_kd.lang.arpa import read_arpa, write_arpa
from asr_kd.lang.ngram import estimate_ngram


def _arpa(folder: Path) -> Path:
    write_arpa(folder / "lm.arpa", estimate_ngram([["a", "b"]] * 3, ["a", "b"], 2))
    return folder / "lm.arpa"


def test_damage_is_named(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(_arpa(tmp_path).read_bytes() * 50))
    packed[40:60] = bytes(byte ^ 0xFF for byte in packed[40:60])
    (tmp_path / "bad.arpa.gz").write_bytes(packed)
    with pytest.raises(LanguageModelError, match=r"bad\.arpa\.gz: not an ARPA file: Error -3"):
        read_arpa(tmp_path / "bad.arpa.gz")


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_byte_order_mark_is_passed_over(tmp_path: Path, suffix: str) -> None:
    plain = _arpa(tmp_path)
    marked = b"\xef\xbb\xbf" + plain.read_bytes()
    path = tmp_path / f"marked.arpa{suffix}"
    path.write_bytes(gzip.compress(marked) if suffix else marked)
    assert read_arpa(path) == read_arpa(plain)
