"""Alignments that other toolkits wrote: CTM, TextGrid and Kaldi's archives."""

from __future__ import annotations

import gzip
import itertools
import shutil
import tempfile
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from asr_kd.ctm import CtmLine, is_ctm_comment, parse_ctm_line
from asr_kd.data.folders import files_below
from asr_kd.errors import AlignmentError, ConfigError

_EXTRA = "pip install 'asr-kd[alignments]'"


class TimedPhone(NamedTuple):
    """A phone with its times in seconds from the utterance's start."""

    phone: str
    start: float
    end: float


class PhoneRun(NamedTuple):
    """A phone and its number of frames."""

    phone: str
    num_frames: int


@dataclass(frozen=True)
class FileAlignment:
    """What a file says of one utterance: phones with times, phones with frames, or pdf_ids.

    Attributes:
        utt_id: As the file has it.
        where: Its place, for errors.
        times: Of a CTM or TextGrid.
        runs: Of a Kaldi archive of phones.
        pdf_ids: int32 ``[T]``, of a Kaldi archive of pdf_ids.
    """

    utt_id: str
    where: str
    times: tuple[TimedPhone, ...] | None = None
    runs: tuple[PhoneRun, ...] | None = None
    pdf_ids: NDArray[np.int32] | None = None


def read_ctm(
    path: Path, wanted: Collection[str], names: Callable[[str], str] = str
) -> Iterator[FileAlignment]:
    """Yield the utterances of a CTM of phones: ``utt_id channel start duration phone``.

    Args:
        path: The file, an utterance's lines together; those that begin with ``;;`` are comments.
        wanted: The utt_ids to yield.
        names: From what stands for a phone to its name.

    Raises:
        AlignmentError: For a missing file, one that is not UTF-8, or a malformed line, with its number.
    """
    for utt_id, lines in itertools.groupby(_ctm_lines(path), key=lambda line: line[1].recording):
        if utt_id in wanted:
            rows = list(lines)
            times = tuple(
                TimedPhone(names(row.token), row.start, row.start + row.duration) for _, row in rows
            )
            yield FileAlignment(utt_id, rows[0][0], times=times)


def _ctm_lines(path: Path) -> Iterator[tuple[str, CtmLine]]:
    if not path.is_file():
        raise AlignmentError("no such CTM file", where=path, hint="mend align.imported.path")
    with _refuse_other_encodings(path), path.open(encoding="utf-8-sig") as stream:
        for number, line in enumerate(stream, start=1):
            if is_ctm_comment(line):
                continue
            row = parse_ctm_line(line)
            if row is None:
                raise AlignmentError(
                    "malformed line of a CTM",
                    where=f"{path}:{number}",
                    expected="utt_id channel start duration phone, in seconds from the utterance's start",
                    got=line.strip()[:60],
                )
            yield f"{path}:{number}", row


@contextmanager
def _refuse_other_encodings(path: Path) -> Iterator[None]:
    """Name the file whose bytes are no UTF-8.

    Raises:
        AlignmentError: In place of a ``UnicodeDecodeError``.
    """
    try:
        yield
    except UnicodeDecodeError as error:
        raise AlignmentError(
            f"not UTF-8 text ({error.reason})", where=path, hint="convert it, with iconv for example"
        ) from None


def read_textgrids(folder: Path, wanted: Collection[str], tier: str) -> Iterator[FileAlignment]:
    """Yield the utterances of ``UTT_ID.TextGrid`` files anywhere below a folder, by name.

    Args:
        folder: As the Montreal Forced Aligner writes it, for example.
        wanted: The utt_ids to yield.
        tier: The interval tier of the phones; ``SPEAKER - TIER`` is found too.

    Raises:
        AlignmentError: For a missing folder, a malformed file or one without the tier.
        ConfigError: When praatio is not installed.
    """
    try:
        from praatio import textgrid
    except ImportError as error:
        raise ConfigError(f"TextGrid files are read by praatio ({error})", hint=_EXTRA) from None
    if not folder.is_dir():
        raise AlignmentError("no folder of TextGrid files", where=folder, hint="mend align.imported.path")
    for path in files_below(folder):
        if path.suffix != ".TextGrid" or path.stem not in wanted:
            continue
        try:
            grid = textgrid.openTextgrid(str(path), includeEmptyIntervals=True)
        except Exception as error:  # praatio fails in many ways on a malformed file
            raise AlignmentError(f"not a TextGrid ({type(error).__name__}: {error})", where=path) from error
        name = next((name for name in grid.tierNames if name == tier or name.endswith(f" - {tier}")), None)
        if name is None:
            raise AlignmentError(
                f'no tier "{tier}"',
                where=path,
                got=f"tiers {', '.join(grid.tierNames)}",
                hint="--set align.imported.tier=TIER",
            )
        entries = grid.getTier(name).entries
        times = tuple(
            TimedPhone(str(label).strip(), float(start), float(end)) for start, end, label in entries
        )
        yield FileAlignment(path.stem, str(path), times=times)


def read_kaldi_phones(
    paths: Iterable[Path], wanted: Collection[str], names: Callable[[str], str]
) -> Iterator[FileAlignment]:
    """Yield the utterances of archives with one phone number a frame (``ali-to-phones --per-frame=true``).

    Neighbouring frames of one phone are one phone, so that two alike in a row are taken for one.
    """
    for where, utt_id, value in _archives(paths, wanted, "SequentialInt32VectorReader"):
        groups = itertools.groupby(np.asarray(value, dtype=np.int32).tolist())
        runs = tuple(PhoneRun(names(str(phone)), sum(1 for _ in frames)) for phone, frames in groups)
        yield FileAlignment(utt_id, where, runs=runs)


def read_kaldi_phone_lengths(
    paths: Iterable[Path], wanted: Collection[str], names: Callable[[str], str]
) -> Iterator[FileAlignment]:
    """Yield the utterances of archives with phones and frames (``ali-to-phones --write-lengths=true``)."""
    for where, utt_id, value in _archives(paths, wanted, "SequentialInt32PairVectorReader"):
        runs = tuple(PhoneRun(names(str(phone)), int(count)) for phone, count in value)
        yield FileAlignment(utt_id, where, runs=runs)


def read_kaldi_pdf_ids(paths: Iterable[Path], wanted: Collection[str]) -> Iterator[FileAlignment]:
    """Yield the utterances of archives with one pdf_id a frame (``ali-to-pdf``)."""
    for where, utt_id, value in _archives(paths, wanted, "SequentialInt32VectorReader"):
        yield FileAlignment(utt_id, where, pdf_ids=np.asarray(value, dtype=np.int32))


def _archives(paths: Iterable[Path], wanted: Collection[str], reader: str) -> Iterator[tuple[str, str, Any]]:
    try:
        import kaldi_native_io
    except ImportError as error:
        raise ConfigError(f"Kaldi archives are read by kaldi-native-io ({error})", hint=_EXTRA) from None
    for path in paths:
        with _plain_archive(path) as archive:
            try:
                with getattr(kaldi_native_io, reader)(f"ark:{archive}") as entries:
                    for utt_id, value in entries:
                        if utt_id in wanted:
                            yield f"{path} ({utt_id})", utt_id, value
            except RuntimeError as error:
                raise AlignmentError(
                    f"not such an archive ({str(error).strip().splitlines()[0][:80] or 'unreadable'})",
                    where=path,
                    hint="check align.imported.format, or write the archive again",
                ) from None


@contextmanager
def _plain_archive(path: Path) -> Iterator[Path]:
    """Yield an archive uncompressed and under a name of our own.

    Kaldi's readers would run what follows a pipe sign in a name, and a shell to unpack a ``.gz``.
    """
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "archive"
        if path.suffix == ".gz":
            try:
                with gzip.open(path, "rb") as packed, plain.open("wb") as out:
                    shutil.copyfileobj(packed, out)
            except (gzip.BadGzipFile, EOFError, zlib.error) as error:
                raise AlignmentError(f"not a whole .gz file ({error})", where=path) from None
        else:
            plain.symlink_to(path.absolute())
        yield plain


def read_phone_symbols(path: Path) -> Callable[[str], str]:
    """Return the names of phone numbers as ``phones.txt`` has them: lines ``NAME NUMBER``.

    Raises:
        AlignmentError: For a missing file, one that is not UTF-8, or a malformed line, with its number; when
            the returned function is called with another number.
    """
    if not path.is_file():
        raise AlignmentError("no such table of phones", where=path, hint="mend align.imported.phones")
    with _refuse_other_encodings(path):
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    symbols: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        fields = line.split()
        if len(fields) != 2 or not fields[1].isdecimal():
            raise AlignmentError(
                "malformed line", where=f"{path}:{number}", expected="NAME NUMBER", got=line[:60]
            )
        symbols[fields[1]] = fields[0]

    def name(number: str) -> str:
        if number not in symbols:
            raise AlignmentError(
                f"phone number {number} is not in the table",
                where=path,
                expected=f"one of {len(symbols)} numbers",
                hint="take the phones.txt of the model that made the alignment",
            )
        return symbols[number]

    return name
