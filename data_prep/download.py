"""Download corpora: with progress, checksum and resume, and unpack them safely."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import shutil
import ssl
import tarfile
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from asr_kd.atomic import atomic_dir
from asr_kd.errors import CorpusError
from asr_kd.progress import Meter, progress, say

_CHUNK_BYTES = 1 << 18
_TIMEOUT_SECONDS = 30.0
_NUM_TRIES = 3
# A connection that broke, or was never there.
_BROKEN = (
    urllib.error.URLError,
    ConnectionError,
    TimeoutError,
    ssl.SSLError,
    http.client.HTTPException,
)


@dataclass(frozen=True)
class Archive:
    """Where a corpus can be had.

    Attributes:
        name: Of the corpus; names its folder in the cache.
        file_name: Of the archive, ending in ``.tar.gz``, ``.tgz``, ``.tar`` or ``.zip``.
        url: Its home.
        sha256: Of the archive, where its publisher or a library that ships it states one; without it
            the corpus module checks what was unpacked.
    """

    name: str
    file_name: str
    url: str
    sha256: str | None = None


def cache_folder() -> Path:
    """Return where downloads go: ``ASR_KD_CACHE``, else asr_kd in the user's cache folder."""
    if given := os.environ.get("ASR_KD_CACHE"):
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "asr_kd"


def fetch(archive: Archive, cache: Path | None = None) -> Path:
    """Return the folder of an unpacked corpus, downloading it when the cache lacks it.

    Raises:
        CorpusError: When it cannot be downloaded (says both ways to get the data), or is not the
            file that it should be.
    """
    cache = cache_folder() if cache is None else cache
    folder = cache / archive.name
    if folder.is_dir():
        return folder
    path = cache / archive.file_name
    if not path.exists():
        download(archive.url, path, sha256=archive.sha256, corpus=archive.name)
    check_sha256(path, archive.sha256)
    say(f"unpacking {path.name} to {folder}")
    with atomic_dir(folder) as temporary:
        unpack(path, temporary)
    path.unlink()
    return folder


def download(url: str, path: Path, *, sha256: str | None = None, corpus: str = "the corpus") -> None:
    """Download a file; what a broken download leaves (``.part``) is gone on with.

    Args:
        url: An http or https address.
        path: Where the file comes to stand once it is whole and its checksum is right.
        sha256: Expected checksum as hex digits, if one is known.
        corpus: Named in errors.

    Raises:
        CorpusError: When there is no connection, it breaks off, or the checksum is wrong.
    """
    if not url.startswith(("http://", "https://")):
        raise CorpusError("not a web address", where=url, expected="http:// or https://")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    for attempt in range(1, _NUM_TRIES + 1):
        try:
            _download_rest(url, part)
            break
        except _BROKEN as error:
            if attempt == _NUM_TRIES or not _may_pass(error):
                raise _failed(url, path, part, corpus, error) from None
    try:
        check_sha256(part, sha256, name=path.name)
    except CorpusError:
        part.unlink()
        raise
    part.replace(path)


def check_sha256(path: Path, sha256: str | None, name: str | None = None) -> None:
    """Refuse a file whose SHA-256 is another than expected; None expects nothing.

    Raises:
        CorpusError: Naming the file and both checksums.
    """
    if sha256 is None:
        return
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
    if digest.hexdigest() != sha256:
        raise CorpusError(
            f"{name or path.name} is not the file that it should be",
            where=path,
            expected=f"SHA-256 {sha256}",
            got=digest.hexdigest(),
            hint="remove it and download it again, or get it from its home by hand",
        )


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a tar or zip file: regular files and folders within ``folder``, nothing else.

    Raises:
        CorpusError: For an archive that is damaged or has a member that would land outside.
    """
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as zip_file:
                for info in zip_file.infolist():
                    if not info.is_dir():
                        _write_member(info.filename, zip_file.open(info), folder, archive)
            return
        with tarfile.open(archive) as tar:
            for member in tar:
                stream = tar.extractfile(member) if member.isreg() else None
                if stream is not None:
                    _write_member(member.name, stream, folder, archive)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise CorpusError(
            f"{archive.name} is damaged or not an archive ({error})",
            where=archive,
            hint="remove it and download it again",
        ) from None


def _write_member(name: str, stream: IO[bytes], folder: Path, archive: Path) -> None:
    target = (folder / name).resolve()
    if not target.is_relative_to(folder.resolve()):
        raise CorpusError(f'member "{name}" would land outside its folder', where=archive)
    target.parent.mkdir(parents=True, exist_ok=True)
    with stream, target.open("wb") as out:
        shutil.copyfileobj(stream, out)


def _download_rest(url: str, part: Path) -> None:
    done = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": "asr-kd"}
    if done:
        headers["Range"] = f"bytes={done}-"
    request = urllib.request.Request(url, headers=headers)  # noqa: S310  http(s) alone: checked by the caller
    with _open(request, part) as response:
        if response is None:
            return
        resumed = response.status == http.client.PARTIAL_CONTENT
        length = response.headers.get("Content-Length")
        start = done if resumed else 0
        total = start + int(length) if length else None
        with progress(f"downloading {part.stem}", total, "bytes") as meter:
            meter.advance(start)
            with part.open("ab" if resumed else "wb") as out:
                _copy(response, out, meter)
        size = part.stat().st_size
        if total is not None and size < total:
            raise http.client.IncompleteRead(b"", total - size)


@contextlib.contextmanager
def _open(request: urllib.request.Request, part: Path) -> Iterator[Any]:
    """Yield the response, or None when ``part`` has all bytes already."""
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS)  # noqa: S310  see the caller
    except urllib.error.HTTPError as error:
        size = error.headers.get("Content-Range", "").rpartition("/")[2]
        if error.code != http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        if size != str(part.stat().st_size):
            part.unlink()
            raise
        yield None
        return
    with response:
        yield response


def _copy(response: IO[bytes], out: IO[bytes], meter: Meter) -> None:
    while chunk := response.read(_CHUNK_BYTES):
        out.write(chunk)
        meter.advance(len(chunk))


def _may_pass(error: Exception) -> bool:
    """Tell a broken connection, which is tried again, from an answer of the server."""
    if isinstance(error, urllib.error.HTTPError):
        return error.code >= 500 or error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE
    return not isinstance(error, urllib.error.URLError)


def _failed(url: str, path: Path, part: Path, corpus: str, error: Exception) -> CorpusError:
    have = part.stat().st_size if part.exists() else 0
    kept = f"; {have:,} bytes are kept and the next run goes on from there" if have else ""
    return CorpusError(
        f"{corpus} cannot be downloaded ({error})",
        where=url,
        hint=f"give a copy with --corpus DIR, or connect to the network and run again "
        f"(it goes to {path.parent}){kept}",
    )
