"""Hypothesis and reference files: Kaldi's ``text`` and NIST's ``.trn``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from asr_kd.atomic import write_text
from asr_kd.errors import ScoringError

_TRN_SUFFIX = ".trn"


def read_text_file(path: Path) -> dict[str, str]:
    """Read words by utt_id; ``.trn`` holds ``words (utt_id)``, every other name ``utt_id words``.

    An utterance without words is kept as an empty string. Empty lines are passed over, and in
    ``.trn`` comment lines that begin with ``;;``.

    Args:
        path: A UTF-8 text file.

    Raises:
        ScoringError: With ``path:line``, for a missing file, a line without utt_id, a doubled
            utt_id or sclite's alternatives and optional words, which have no place in a hypothesis.

    Source: Kaldi's data preparation (``text``), the SCTK manual (``trn``).
    """
    parse = _parse_trn if _is_trn(path) else _parse_kaldi
    texts: dict[str, str] = {}
    for number, line in _lines(path):
        where = f"{path}:{number}"
        utt_id, words = parse(line, where)
        if utt_id in texts:
            raise ScoringError(f'utt_id "{utt_id}" is there twice', where=where, hint="keep one of the lines")
        texts[utt_id] = " ".join(words)
    if not texts:
        raise ScoringError("the file holds no utterance", where=path)
    return texts


def write_text_file(path: Path, texts: Mapping[str, str]) -> None:
    """Write words by utt_id, as ``.trn`` when the name ends so, else as Kaldi's ``text``.

    Raises:
        ScoringError: For an utt_id that the format cannot hold.
    """
    trn = _is_trn(path)
    lines = []
    for utt_id, text in texts.items():
        if utt_id.split() != [utt_id] or (trn and set(utt_id) & set("()")):
            raise ScoringError(
                f'utt_id "{utt_id}" cannot be written',
                where=path,
                expected="no blanks" + " or parentheses" * trn,
            )
        words = " ".join(text.split())
        lines.append((f"{words} ({utt_id})" if trn else f"{utt_id} {words}").strip())
    write_text(path, "".join(line + "\n" for line in lines))


def _is_trn(path: Path) -> bool:
    return path.suffix.lower() == _TRN_SUFFIX


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    if not path.is_file():
        raise ScoringError("no such file", where=path, hint="check the path")
    with path.open("rb") as stream:
        for number, raw in enumerate(stream, start=1):
            try:
                line = raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip()
            except UnicodeDecodeError:
                raise ScoringError(
                    "text is not UTF-8", where=f"{path}:{number}", hint="convert the file"
                ) from None
            if line and not (_is_trn(path) and line.startswith(";;")):
                yield number, line


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
        if word in {"{", "/", "}"} or (word.startswith("(") and word.endswith(")")):
            raise ScoringError(
                "alternatives and optional words are not supported",
                where=where,
                expected="plain words",
                got=word,
                hint="write the words that were said",
            )
    return utt_id, words
