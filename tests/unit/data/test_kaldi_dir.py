"""Kaldi-style data directories: what is read, and what is refused with its line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from asr_kd.data.audio import write_audio
from asr_kd.data.audio_folder import read_audio_source
from asr_kd.data.kaldi_dir import read_kaldi_dir, read_table
from asr_kd.errors import AudioError, ManifestError


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Root of a corpus with two recordings of 1 s and 2 s at 8 kHz and a data directory ``data``."""
    (tmp_path / "wav").mkdir()
    (tmp_path / "data").mkdir()
    for name, seconds in (("r1", 1), ("r2", 2)):
        write_audio(tmp_path / "wav" / f"{name}.flac", np.full(8000 * seconds, 0.1), 8000)
    write(tmp_path, "wav.scp", "r2\twav/r2.flac", "r1 wav/r1.flac")
    write(tmp_path, "text", "r1 HELLO  WORLD", "r2 YES")
    write(tmp_path, "utt2spk", "r1 spk1", "r2 spk2")
    return tmp_path


def write(corpus: Path, name: str, *lines: str) -> None:
    (corpus / "data" / name).write_text("".join(f"{line}\n" for line in lines))


def test_a_directory_without_segments(corpus: Path) -> None:
    first, second = read_kaldi_dir(corpus / "data")
    assert (first.utt_id, first.speaker, first.text) == ("r1", "spk1", "HELLO WORLD")
    assert (first.num_samples, first.sampling_rate, first.start_sample) == (8000, 8000, 0)
    assert first.audio == str(corpus / "wav" / "r1.flac")
    assert second.num_samples == 16000
    assert read_audio_source(corpus / "data") == [first, second]


def test_segments_are_spans_of_their_recordings(corpus: Path) -> None:
    write(corpus, "segments", "u1 r2 0.5 1.25", "u2 r2 1.25 -1", "u3 r1 0.9 1.4")
    write(corpus, "text", "u1 A", "u2 B", "u3 C")
    write(corpus, "utt2spk", "u1 s", "u2 s", "u3 s")
    rows = read_kaldi_dir(corpus / "data")
    assert [(row.start_sample, row.num_samples) for row in rows] == [(4000, 6000), (10000, 6000), (7200, 800)]
    assert [row.text for row in rows] == ["A", "B", "C"]


def test_without_text_and_utt2spk_nothing_is_known_of_words_and_speakers(corpus: Path) -> None:
    (corpus / "data" / "text").unlink()
    (corpus / "data" / "utt2spk").unlink()
    assert [(row.text, row.speaker) for row in read_kaldi_dir(corpus / "data")] == [
        (None, "r1"),
        (None, "r2"),
    ]


def test_root_decides_where_relative_paths_start(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r'wav\.scp:1: audio of "r2" is missing; expected .*data/wav/r2'):
        read_kaldi_dir(corpus / "data", root=corpus / "data")


def test_a_command_is_refused_and_not_run(corpus: Path) -> None:
    trace = corpus / "trace"
    write(corpus, "wav.scp", "r1 wav/r1.flac", f"r2 touch {trace} && cat wav/r2.flac |")
    with pytest.raises(ManifestError, match=r'wav\.scp:2: "r2" is a command, and commands .* never run'):
        read_kaldi_dir(corpus / "data")
    assert not trace.exists()


@pytest.mark.parametrize(
    ("name", "lines", "message"),
    [
        ("wav.scp", ["r1"], r'wav\.scp:1: "r1" has no value'),
        ("wav.scp", ["r1 wav/r1.flac", "", "r1 wav/r2.flac"], r'wav\.scp:3: "r1" is there twice.*wav\.scp:1'),
        ("wav.scp", [], r"wav\.scp: the file is empty"),
        ("text", ["r1 A", "r2"], r'text:2: "r2" has an empty transcript'),
        ("text", ["r1 A", "r2 B", "r3 C"], r"text:3: 1 utterance \(r3\) in text without audio"),
        ("text", ["r1 A"], r"text: 1 utterance \(r2\) with audio but without a line in text"),
        ("utt2spk", ["r1 s"], r"utt2spk: 1 utterance \(r2\) without a speaker"),
        ("segments", ["r1 r1 0.5"], r"segments:1: malformed segment"),
        ("segments", ["r1 r1 zero 1"], r"segments:1: malformed segment"),
        ("segments", ["r1 r9 0 1"], r'segments:1: recording "r9" is not in wav\.scp'),
        ("segments", ["r1 r1 0.5 0.5"], r"segments:1: the segment is not within its recording"),
        ("segments", ["r1 r1 0 1", "r2 r1 0 1.6"], r"segments:2: .*expected 0 <= start < end <= 1\.00 s"),
    ],
)
def test_a_malformed_file_is_named_with_its_line(
    corpus: Path, name: str, lines: list[str], message: str
) -> None:
    write(corpus, name, *lines)
    with pytest.raises(ManifestError, match=message):
        read_kaldi_dir(corpus / "data")


def test_untranscribed_audio_is_taken_on_demand(corpus: Path) -> None:
    write(corpus, "text", "r1 A")
    rows = read_kaldi_dir(corpus / "data", allow_untranscribed=True)
    assert [row.text for row in rows] == ["A", None]


def test_other_folders_and_damaged_audio_are_refused(corpus: Path) -> None:
    with pytest.raises(ManifestError, match=r"not a Kaldi data directory; expected a file wav\.scp"):
        read_kaldi_dir(corpus / "wav")
    (corpus / "wav" / "r2.flac").write_bytes(b"junk" * 10)
    with pytest.raises(AudioError, match=r'r2\.flac \(utterance "r2"\): not readable'):
        read_kaldi_dir(corpus / "data")


def test_tables_that_are_missing_or_not_utf8_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="no such file"):
        read_table(tmp_path / "spk2age")
    (tmp_path / "spk2age").write_bytes(b"s1 \xff\n")
    with pytest.raises(ManifestError, match="not UTF-8"):
        read_table(tmp_path / "spk2age")


def test_the_real_corpus_directory(shared_data: Path) -> None:
    rows = read_kaldi_dir(shared_data / "speechocean762" / "test")
    assert len(rows) == 400
    assert len({row.speaker for row in rows}) == 20
    assert (rows[0].utt_id, rows[0].speaker) == ("000030012", "0003")
    assert rows[0].text == "MARK IS GOING TO SEE ELEPHANT"
