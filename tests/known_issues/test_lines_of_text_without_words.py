"""A line of Kaldi's text with a key alone was refused in transfer, where a line may be missing altogether."""

from __future__ import annotations

from pathlib import Path

import pytest

from asr_kd.errors import ManifestError
from data_prep.kaldi import Options, prepare
from tests.support.kaldi_corpus import make_kaldi_corpus, write_lines


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    data = make_kaldi_corpus(tmp_path / "s5", utterances=1)
    write_lines(data / "more" / "wav.scp", *(f"more{number} wav/s1.flac" for number in (1, 2, 3)))
    write_lines(data / "more" / "utt2spk", *(f"more{number} s9" for number in (1, 2, 3)))
    return data


@pytest.mark.parametrize(
    ("lines", "texts"),
    [
        (("more1", "more2 alba  boca"), [None, "alba boca", None]),
        (("more1 \t", "more2", "more3"), [None, None, None]),
        ((), [None, None, None]),
    ],
)
def test_are_untranscribed_in_transfer(
    tmp_path: Path, data: Path, lines: tuple[str, ...], texts: list[str | None]
) -> None:
    write_lines(data / "more" / "text", *lines)
    prepared = prepare(data, tmp_path / "out", Options(transfer="more"))
    assert [row.text for row in prepared.splits["transfer"]] == texts


def test_are_refused_elsewhere_and_so_are_keys_without_audio(tmp_path: Path, data: Path) -> None:
    write_lines(data / "more" / "text", "more1", "more4")
    with pytest.raises(ManifestError, match=r"text:2: 1 utterance \(more4\) in text without audio"):
        prepare(data, tmp_path / "out", Options(transfer="more"))
    write_lines(data / "dev" / "text", "s5-00")
    with pytest.raises(ManifestError, match='text:1: "s5-00" has an empty transcript'):
        prepare(data, tmp_path / "out", Options())
