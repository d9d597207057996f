"""Reading and writing n-gram models in the ARPA format."""

from __future__ import annotations

import gzip
import math
import re
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NoReturn

from asr_kd.atomic import atomic_path
from asr_kd.errors import LanguageModelError
from asr_kd.lang.ngram import LOG10_ZERO, SENTENCE_END, SENTENCE_START, Ngram, NgramModel

_COUNT_LINE = re.compile(r"ngram\s+(\d+)\s*=\s*(\d+)")
# Other toolkits round: a probability of 1 may come as a logarithm just above 0.
_LARGEST_LOG_PROB = 1e-5


@dataclass(frozen=True)
class ArpaReading:
    """What was read from an ARPA file.

    Args:
        model: The n-grams whose words are all in the vocabulary.
        num_dropped_words: 1-grams left out since the vocabulary lacks them.
        num_dropped_ngrams: N-grams of all orders left out: with such words or a sentence mark out of place.
        num_words_without_ngram: Words of the vocabulary that the model cannot predict.
    """

    model: NgramModel
    num_dropped_words: int
    num_dropped_ngrams: int
    num_words_without_ngram: int


def write_arpa(path: Path, model: NgramModel) -> None:
    """Write a model as an ARPA file, atomically, its n-grams sorted."""
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as stream:
        stream.writelines(_arpa_lines(model))


def _arpa_lines(model: NgramModel) -> Iterator[str]:
    yield "\\data\\\n"
    for length, log_probs in enumerate(model.log_probs, start=1):
        yield f"ngram {length}={len(log_probs)}\n"
    for length, log_probs in enumerate(model.log_probs, start=1):
        yield f"\n\\{length}-grams:\n"
        for ngram in sorted(log_probs):
            backoff = model.backoffs.get(ngram)
            end = "" if backoff is None else f"\t{backoff:.7f}"
            yield f"{log_probs[ngram]:.7f}\t{' '.join(ngram)}{end}\n"
    yield "\n\\end\\\n"


def read_arpa(path: Path, words: Collection[str] | None = None) -> ArpaReading:
    """Read an ARPA file of any order, plain or ``.gz``.

    Args:
        path: The file.
        words: The vocabulary, usually the words of the lexicon; all words where it is None.

    Returns:
        The model and the counts of what was dropped.

    Raises:
        LanguageModelError: For a missing file, a malformed line (with its number), a count that does not fit,
            a missing ``\\end\\``, or a model without any word of the vocabulary.

    Source: SRILM's ngram-format(5).
    """
    if not path.is_file():
        raise LanguageModelError("no such language model", where=path)
    try:
        with _open(path) as stream:
            return _ArpaReader(path, stream, words).read()
    except (UnicodeDecodeError, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise LanguageModelError(f"not an ARPA file: {error}", where=path) from None


def _open(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig")
    return path.open(encoding="utf-8-sig")


class _ArpaReader:
    """Reads one file line by line, knowing where it is."""

    def __init__(self, path: Path, stream: IO[str], words: Collection[str] | None) -> None:
        self._path = path
        self._stream = stream
        self._vocabulary = None if words is None else frozenset(words)
        self._number = 0
        self._line = ""
        self._at_end = False
        self._known: dict[str, str] = {}  # each word of the 1-grams, once, so that n-grams share the string
        self._dropped: set[str] = set()
        self._num_dropped_ngrams = 0
        self._log_probs: list[dict[Ngram, float]] = []
        self._backoffs: dict[Ngram, float] = {}

    def read(self) -> ArpaReading:
        counts = self._read_counts()
        for length, count in enumerate(counts, start=1):
            self._read_section(length, count, is_highest=length == len(counts))
        if self._line != "\\end\\":
            self._fail("the language model does not end", expected="\\end\\", got=self._shown())
        model = NgramModel(tuple(self._log_probs), self._backoffs)
        predicted = set(model.words)
        if not predicted:
            raise LanguageModelError(
                "no word of the language model is in the lexicon",
                where=self._path,
                got=f"{len(self._dropped)} other words",
                hint="check that both write words in the same way (case, accents)",
            )
        num_missing = 0 if self._vocabulary is None else len(self._vocabulary - predicted)
        return ArpaReading(model, len(self._dropped), self._num_dropped_ngrams, num_missing)

    def _read_counts(self) -> list[int]:
        """Read the header; stand at the first line after it."""
        while self._line != "\\data\\":
            self._next()
            if self._at_end:
                self._fail("not an ARPA file", expected="a line \\data\\")
        counts: list[int] = []
        self._next()
        while match := _COUNT_LINE.fullmatch(self._line):
            if int(match[1]) != len(counts) + 1:
                self._fail(
                    "orders out of sequence", expected=f"ngram {len(counts) + 1}=COUNT", got=self._shown()
                )
            counts.append(int(match[2]))
            self._next()
        if not counts:
            self._fail("no n-gram counts", expected="ngram 1=COUNT", got=self._shown())
        return counts

    def _read_section(self, length: int, count: int, is_highest: bool) -> None:
        if self._line != f"\\{length}-grams:":
            self._fail("section missing", expected=f"\\{length}-grams:", got=self._shown())
        self._log_probs.append({})
        num_read = 0
        self._next()
        while not self._at_end and not self._line.startswith("\\"):
            self._read_entry(length, is_highest)
            num_read += 1
            self._next()
        if num_read != count:
            self._fail(f"wrong number of {length}-grams", expected=f"{count} as in the header", got=num_read)

    def _read_entry(self, length: int, is_highest: bool) -> None:
        fields = self._line.split()
        has_backoff = len(fields) == length + 2 and not is_highest
        if len(fields) != length + 1 and not has_backoff:
            form = "LOG10_PROB" + " WORD" * length + ("" if is_highest else " [LOG10_BACKOFF]")
            self._fail(f"malformed {length}-gram", expected=form, got=self._shown())
        log_prob = max(self._number_in(fields[0]), LOG10_ZERO)
        if log_prob > _LARGEST_LOG_PROB:
            self._fail("a probability above 1", expected="a log10 probability of 0 or less", got=fields[0])
        ngram = self._kept_ngram(tuple(fields[1 : length + 1]))
        if ngram is None:
            self._num_dropped_ngrams += 1
            return
        if ngram in self._log_probs[-1]:
            self._fail(f"the {length}-gram is there twice", got=" ".join(ngram))
        self._log_probs[-1][ngram] = min(log_prob, 0.0)
        if has_backoff:
            self._backoffs[ngram] = max(self._number_in(fields[-1]), LOG10_ZERO)

    def _kept_ngram(self, ngram: Ngram) -> Ngram | None:
        """Return the n-gram with shared strings, or None where it is to be dropped."""
        if len(ngram) == 1:
            self._register(ngram[0])
        unknown = [word for word in ngram if word not in self._known and word not in self._dropped]
        if unknown:
            self._fail(f'word "{unknown[0]}" has no 1-gram', hint="the file is damaged: every word needs one")
        is_misplaced = SENTENCE_START in ngram[1:] or SENTENCE_END in ngram[:-1]
        if is_misplaced or any(word in self._dropped for word in ngram):
            return None
        return tuple(self._known[word] for word in ngram)

    def _register(self, word: str) -> None:
        if self._vocabulary is None or word in self._vocabulary or word in (SENTENCE_START, SENTENCE_END):
            self._known[word] = word
        else:
            self._dropped.add(word)

    def _number_in(self, text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            self._fail("not a number", got=text)
        if math.isnan(value) or value == math.inf:
            self._fail("not a finite number", got=text)
        return value

    def _next(self) -> None:
        """Step to the next line that is not blank."""
        for line in self._stream:
            self._number += 1
            self._line = line.strip()
            if self._line:
                return
        self._line = ""
        self._at_end = True

    def _shown(self) -> str:
        return "the end of the file" if self._at_end else f'"{self._line[:80]}"'

    def _fail(
        self, what: str, expected: object = None, got: object = None, hint: str | None = None
    ) -> NoReturn:
        where = f"{self._path}:{self._number}"
        raise LanguageModelError(what, where=where, expected=expected, got=got, hint=hint)
