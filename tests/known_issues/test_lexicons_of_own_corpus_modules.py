"""Comments, probabilities and marks of variants that a user's corpus module left became words and phones."""

from __future__ import annotations

from pathlib import Path

import pytest

from asr_kd.data.manifest import Utterance
from asr_kd.errors import LexiconError
from data_prep.common import CorpusOptions, write_corpus
from data_prep.lexicons import read_pronunciations

LINES = [";;; mine", "hello HH AH", "hello(2) HH EH", "(2) T UW"]


def _write(folder: Path, lines: list[str], text: str = "hello") -> Path:
    """Write a corpus as a module would that splits its lexicon's lines at blanks."""
    write_corpus(
        folder,
        name="mine",
        splits={
            split: [Utterance(split, split, f"{split}.wav", 800, 8000, text)]
            for split in ("train", "dev", "test")
        },
        lexicon=[(word, tuple(phones)) for word, *phones in (line.split() for line in lines)],
        source="a test",
        licence="none",
        options=CorpusOptions(),
    )
    return folder / "lexicon.txt"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("world 1.0 W ER", 'mine: a number among the phones, .* got 1.0 in "world"; data_prep.*'),
        ("world W ER # said", 'mine: a comment among the phones; .* got # said in "world"; data_prep.*'),
        (";;; mine", "mine: a comment among the words; expected a word and its phones, got ;;;;.*"),
        ("hello(2) HH EH", r"mine: the mark of another pronunciation .* got hello\(2\);.*"),
    ],
)
def test_are_refused_and_the_message_says_what_reads_them(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(LexiconError, match=f"{message}read_pronunciations reads files that have them"):
        _write(tmp_path, ["hello HH AH", line])
    assert not list(tmp_path.iterdir())


def test_what_reads_them_gives_rows_that_are_taken(tmp_path: Path) -> None:
    (tmp_path / "own.dict").write_text("".join(f"{line}\n" for line in LINES))
    rows = read_pronunciations(tmp_path / "own.dict")
    path = _write(tmp_path, [f"{word} {' '.join(phones)}" for word, phones in rows])
    assert path.read_text() == "(2) T UW\nhello HH AH\nhello HH EH\n"


def test_words_of_the_transcripts_may_end_so(tmp_path: Path) -> None:
    lines = ["section s", "section(3) s 3"]
    path = _write(tmp_path, lines, text="section section(3)")
    assert path.read_text().splitlines() == lines
