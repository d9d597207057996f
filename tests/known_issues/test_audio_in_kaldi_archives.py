"""Audio in a Kaldi archive (`wav.ark:123`) was called missing, without a word that archives are not read."""

from __future__ import annotations

from pathlib import Path

import pytest

from asr_kd.data.kaldi_dir import read_kaldi_dir
from asr_kd.errors import ManifestError
from tests.support.kaldi_corpus import make_kaldi_corpus, write_lines


@pytest.fixture
def dev(tmp_path: Path) -> Path:
    return make_kaldi_corpus(tmp_path / "s5", utterances=1) / "dev"


@pytest.mark.parametrize("place", ["/data/raw.ark:123", "wav.1.ark:9", "a b.ark:123[0:99]"])
def test_is_named_with_what_to_do(dev: Path, place: str) -> None:
    (dev / "wav.1.ark").write_bytes(b"rec-s5 RIFF")
    write_lines(dev / "wav.scp", f"rec-s5 {place}")
    with pytest.raises(ManifestError) as caught:
        read_kaldi_dir(dev)
    assert 'wav.scp:1: audio of "rec-s5" is in a Kaldi archive, and archives are not read' in str(
        caught.value
    )
    assert f"got {place}; write each recording to a file" in str(caught.value)


@pytest.mark.parametrize("place", ["wav/s9.flac", "wav/12:30.flac", "wav:5/s9.flac"])
def test_is_not_what_a_missing_file_is(dev: Path, place: str) -> None:
    write_lines(dev / "wav.scp", f"rec-s5 {place}")
    with pytest.raises(ManifestError, match='audio of "rec-s5" is missing'):
        read_kaldi_dir(dev)


def test_is_not_a_file_with_a_colon(dev: Path) -> None:
    (dev.parent.parent / "wav" / "s5.flac").rename(dev / "call:30")
    write_lines(dev / "wav.scp", "rec-s5 call:30")
    assert [row.audio for row in read_kaldi_dir(dev)] == [str(dev / "call:30")]
