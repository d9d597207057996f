"""Hypothesis and reference files: Kaldi's ``text``, NIST's ``.trn`` and ``.ctm``."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from asr_kd.atomic import write_text
from asr_kd.ctm import CtmLine, is_ctm_comment, parse_ctm_line
from asr_kd.errors import ScoringError

_TRN_SUFFIX = ".trn"
_CTM_SUFFIX = ".ctm"
_COMMENT = ";;"
_OTHER_FORMATS = (".stm", ".json", ".jsonl", ".csv")
"""Names of files whose lines would pass for Kaldi's text and hold something else."""


def read_text_file(path: Path) -> dict[str, str]:
    """Read words by utt_id.

    ``.trn`` holds ``words (utt_id)``, ``.ctm`` a word a line with its times, every other name
    ``utt_id words``. An utterance without words is kept as an empty string; a ``.ctm`` has no line for it.
    Empty lines are passed over, and in ``.trn`` and ``.ctm`` comment lines that begin with ``;;``.

    Args:
        path: A UTF-8 text file.

    Raises:
        ScoringError: With ``path:line``, for a missing file, a line without utt_id, a doubled
            utt_id, a line that is none of a CTM, or sclite's alternatives and optional words, which have no
            place in a hypothesis; for a name that belongs to another format.

    Source: Kaldi's data preparation (``text``), the SCTK manual (``trn``, ``ctm``).
    """
    _check_format(path, f"Kaldi text (utt_id words ...), {_TRN_SUFFIX} or {_CTM_SUFFIX}")
    utterances = _ctm_utterances if path.suffix.lower() == _CTM_SUFFIX else _utterances
    texts: dict[str, str] = {}
    for where, utt_id, words in utterances(path):
        if utt_id in texts:
            raise ScoringError(f'utt_id "{utt_id}" is there twice', where=where, hint="keep one of the lines")
        texts[utt_id] = " ".join(words)
    if not texts:
        raise ScoringError("the file holds no utterance", where=path)
    return texts


def check_writable_name(path: Path) -> None:
    """Refuse a name under which :func:`write_text_file` would write what nobody reads as such.

    Raises:
        ScoringError: For a name that belongs to another format.
    """
    _check_format(path, f"a name that ends in .txt or {_TRN_SUFFIX}", _CTM_SUFFIX)


def write_text_file(path: Path, texts: Mapping[str, str]) -> None:
    """Write words by utt_id, as ``.trn`` when the name ends so, else as Kaldi's ``text``.

    Raises:
        ScoringError: For an utt_id or a word that the format cannot hold, or a name that belongs to another
            format.
    """
    check_writable_name(path)
    check_utt_ids(path, texts)
    trn = _is_trn(path)
    lines = []
    for utt_id, text in texts.items():
        words = text.split()
        if trn:
            _check_trn_words(words, utt_id, path)
        lines.append(" ".join([*words, f"({utt_id})"] if trn else [utt_id, *words]))
    write_text(path, "".join(line + "\n" for line in lines))


def check_utt_ids(path: Path, utt_ids: Iterable[str]) -> None:
    """Refuse utterances that :func:`write_text_file` could not write to ``path``, before there are texts.

    Raises:
        ScoringError: For the first of them.
    """
    trn = _is_trn(path)
    for utt_id in utt_ids:
        if utt_id.split() != [utt_id] or (trn and set(utt_id) & set("()")):
            raise ScoringError(
                f'utt_id "{utt_id}" cannot be written',
                where=path,
                expected="no blanks" + " or parentheses" * trn,
                hint="rename it, or write a .txt" if trn else "rename it",
            )


def _check_trn_words(words: list[str], utt_id: str, path: Path) -> None:
    """Refuse what would come back as an alternative, an optional word or a comment."""
    for index, word in enumerate(words):
        if _is_trn_mark(word) or (index == 0 and word.startswith(_COMMENT)):
            raise ScoringError(
                f'word "{word}" of utterance "{utt_id}" cannot be written',
                where=path,
                expected="no word { / } or (...), and none that begins a comment",
                hint="write a .txt file",
            )


def _is_trn_mark(word: str) -> bool:
    """Return whether a word stands for alternatives, or is optional."""
    return word in {"{", "/", "}"} or (word.startswith("(") and word.endswith(")"))


def _is_trn(path: Path) -> bool:
    return path.suffix.lower() == _TRN_SUFFIX


def _check_format(path: Path, expected: str, *others: str) -> None:
    if path.suffix.lower() in (*_OTHER_FORMATS, *others):
        raise ScoringError(
            f"{path.suffix} is another format",
            where=path,
            expected=expected,
            hint="convert the file, or give it another name if it holds just that",
        )


def _utterances(path: Path) -> Iterator[tuple[str, str, list[str]]]:
    """Yield place, utt_id and words of each line."""
    parse = _parse_trn if _is_trn(path) else _parse_kaldi
    for where, line in _lines(path):
        if not (_is_trn(path) and line.startswith(_COMMENT)):
            yield where, *parse(line, where)


def _ctm_utterances(path: Path) -> Iterator[tuple[str, str, list[str]]]:
    """Yield place, name and words of each recording, in the order in which they were said."""
    rows = ((where, _parse_ctm(line, where)) for where, line in _lines(path) if not is_ctm_comment(line))
    for recording, group in itertools.groupby(rows, key=lambda row: row[1].recording):
        said = list(group)
        first, channel = said[0][0], said[0][1].channel
        for where, row in said:
            if row.channel != channel:
                raise ScoringError(
                    f'recording "{recording}" has two channels',
                    where=where,
                    expected=f"{channel} as before",
                    got=row.channel,
                    hint="write a CTM for each channel",
                )
        yield first, recording, [row.token for _, row in sorted(said, key=lambda each: each[1].start)]


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    """Yield place and text of each line that is not empty."""
    if not path.is_file():
        raise ScoringError("no such file", where=path, hint="check the path")
    with path.open("rb") as stream:
        for number, raw in enumerate(stream, start=1):
            where = f"{path}:{number}"
            try:
                line = raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip()
            except UnicodeDecodeError:
                raise ScoringError("text is not UTF-8", where=where, hint="convert the file") from None
            if line:
                yield where, line


def _parse_kaldi(line: str, where: str) -> tuple[str, list[str]]:
    if line[0].isspace():
        raise ScoringError("line begins with a blank", where=where, expected="utt_id words", got=line[:40])
    utt_id, *words = line.split()
    return utt_id, words


def _parse_trn(line: str, where: str) -> tuple[str, list[str]]:
    opening = line.rfind("(")
    utt_id = line[opening + 1 : -1].strip()
    if opening < 0 or not line.endswith(")") or len(utt_id.split()) != 1:
        raise ScoringError(
            "line does not end with an utt_id", where=where, expected="words (utt_id)", got=line[-40:]
        )
    words = line[:opening].split()
    for word in words:
        if _is_trn_mark(word):
            raise ScoringError(
                "alternatives and optional words are not supported",
                where=where,
                expected="plain words",
                got=word,
                hint="write the words that were said",
            )
    return utt_id, words


def _parse_ctm(line: str, where: str) -> CtmLine:
    row = parse_ctm_line(line)
    if row is None:
        raise ScoringError(
            "malformed line of a CTM",
            where=where,
            expected="recording channel start duration word, and a confidence or none, times in seconds",
            got=line[:60],
        )
    return row
