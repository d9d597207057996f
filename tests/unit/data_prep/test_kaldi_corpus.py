"""Kaldi data directories with segments, commands and lexicons of all kinds, and what is refused."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr_kd.data.audio import load_utterance
from asr_kd.data.kaldi_pipes import PipeReader, parse_pipe
from asr_kd.data.manifest import read_manifest
from asr_kd.errors import AsrKdError, CorpusError, LexiconError, ManifestError
from data_prep.kaldi import Options, find_lexicon, prepare, read_kaldi_lexicon
from data_prep.lexicons import character_lexicon, read_pronunciations
from tests.support.kaldi_corpus import make_kaldi_corpus, write_lines
from tests.support.tone_corpus import RATE

TEST = ("s6-00", "s6-01", "s7-00", "s7-01")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return make_kaldi_corpus(tmp_path / "s5", utterances=2)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def test_segments_are_cut_from_their_recordings(data: Path, out: Path) -> None:
    prepared = prepare(data, out, Options())
    assert {split: len(rows) for split, rows in prepared.splits.items()} == {"train": 8, "dev": 2, "test": 4}
    first, second = read_manifest(out / "dev.jsonl")
    assert (first.utt_id, first.speaker, first.start_sample) == ("s5-00", "s5", 0)
    assert second.start_sample == first.num_samples
    recording, _ = soundfile.read(data.parent / "wav" / "s5.flac", dtype="float32")
    assert np.array_equal(load_utterance(second).samples, recording[second.start_sample :])
    lexicon = (out / "lexicon.txt").read_text().splitlines()
    assert lexicon == ["!SIL SIL", "alba A B", "boca B C", "cado C D", "dora D A"]


def test_a_command_is_refused_and_run_where_it_is_allowed(data: Path, out: Path) -> None:
    command = f"{sys.executable} cat.py wav/s6.wav |"
    samples, _ = soundfile.read(data.parent / "wav" / "s6.flac", dtype="int16")
    soundfile.write(data.parent / "wav" / "s6.wav", samples, RATE, subtype="PCM_16")
    (data.parent / "cat.py").write_text(
        "import sys\n"
        "audio = bytearray(open(sys.argv[1], 'rb').read())\n"
        "audio[40:44] = b'\\x00\\xf0\\xff\\x7f'  # sox states this size in a pipe\n"
        "sys.stdout.buffer.write(audio)\n"
    )
    write_lines(data / "test" / "wav.scp", f"rec-s6 {command}", "rec-s7 wav/s7.flac")
    with pytest.raises(ManifestError, match=r'wav\.scp:1: "rec-s6" is a command.*allow_pipes=true'):
        prepare(data, out, Options())
    prepare(data, out, Options(allow_pipes=True))
    row = read_manifest(out / "test.jsonl")[0]
    assert row.audio == str(out / "audio" / "test" / "rec-s6.flac")
    assert '"audio/test/rec-s6.flac"' in (out / "test.jsonl").read_text()
    written, _ = soundfile.read(row.audio, dtype="int16")
    assert np.array_equal(written, samples)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("sph2pipe a.sph | sox - b.wav |", r"x:1: the command needs a shell \(it has \|\), and none is run"),
        ("cat $(ls) |", r"needs a shell \(it has \$ \( \)\)"),
        ("cat a.wav; rm b |", "it has ;"),
        ("cat < a.wav |", "it has <"),
        ("| cat", "does not write audio; expected program argument"),
        ("cat 'a.wav |", "malformed command"),
        ("|", "does not write audio|the command is empty"),
    ],
)
def test_what_a_shell_would_do_is_refused(command: str, message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        parse_pipe(command, "x:1")


def test_a_plain_command_is_split_like_a_shell_does() -> None:
    assert parse_pipe("sph2pipe -f wav 'a b.sph' |", "x:1") == ["sph2pipe", "-f", "wav", "a b.sph"]


def test_a_command_that_fails_says_why(tmp_path: Path) -> None:
    reader = PipeReader(tmp_path, tmp_path)
    (tmp_path / "fail.py").write_text("import sys\nsys.exit('no such file: a.sph')\n")
    with pytest.raises(ManifestError, match=r"x:1: the command failed .* 1; got no such file: a\.sph"):
        reader("r", f"{sys.executable} fail.py |", "x:1")
    with pytest.raises(ManifestError, match=r'x:1: "no-such-program" cannot be run'):
        reader("r", "no-such-program a |", "x:1")


def _without(data: Path, name: str) -> None:
    (data / name).unlink()


@pytest.mark.parametrize(
    ("change", "options", "error", "message"),
    [
        (
            lambda data: None,
            {"test": "eval"},
            CorpusError,
            "eval: no data directory for test.*dev, test, train",
        ),
        (lambda data: _without(data, "dev/text"), {}, CorpusError, "dev: the dev split has no transcripts"),
        (
            lambda data: _without(data, "local/dict/lexicon.txt"),
            {},
            LexiconError,
            r"no lexicon; expected a dict directory with lexicon\.txt .* or a lang directory",
        ),
        (
            lambda data: write_lines(
                data / "test/utt2spk", *(f"s{k}-0{n} s1" for k in (6, 7) for n in (0, 1))
            ),
            {},
            CorpusError,
            'speaker "s1" is in two splits',
        ),
    ],
)
def test_what_cannot_be_used_is_refused(
    data: Path,
    out: Path,
    change: Callable[[Path], None],
    options: dict[str, str],
    error: type[AsrKdError],
    message: str,
) -> None:
    change(data)
    with pytest.raises(error, match=message):
        prepare(data, out, Options(**options))  # type: ignore[arg-type]  # any options


def test_a_lang_directory_gives_pronunciations_without_positions(tmp_path: Path) -> None:
    phones = tmp_path / "lang" / "phones"
    write_lines(phones / "align_lexicon.txt", "<eps> sil", "a a AH_S", "tea tea T_B IY_E", "!SIL !SIL sil_S")
    write_lines(phones / "word_boundary.txt", "AH_S singleton")
    write_lines(phones / "optional_silence.txt", "sil")
    path = find_lexicon(tmp_path, None)
    assert path == phones / "align_lexicon.txt"
    expected = [("a", ("AH",)), ("tea", ("T", "IY")), ("!SIL", ("SIL",))]
    assert read_kaldi_lexicon(path) == expected


def test_probabilities_are_dropped_and_checked(tmp_path: Path) -> None:
    path = tmp_path / "lexiconp.txt"
    write_lines(path, "tea 1.0 T IY1", "tea\t0.5\tT EY1")
    assert read_pronunciations(path, strip_stress=True) == [("tea", ("T", "IY")), ("tea", ("T", "EY"))]
    write_lines(path, "tea 1.0 T IY1", "tea T EY1")
    with pytest.raises(LexiconError, match=r"lexiconp\.txt:2: no probability behind the word.*got T"):
        read_pronunciations(path)


def test_words_are_spelt_by_their_letters() -> None:
    assert character_lexicon(["Él's", "ab-1"], "x") == [
        ("ab-1", ("a", "b", "1")),
        ("Él's", ("é", "l", "s")),
    ]
    with pytest.raises(LexiconError, match='x: "--" has no letters'):
        character_lexicon(["--"], "x")
