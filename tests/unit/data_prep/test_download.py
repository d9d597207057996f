"""Downloads over a server of the test's own: resume, checksums and safe unpacking."""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from asr_kd.errors import CorpusError
from data_prep.download import Archive, cache_folder, download, fetch, unpack

CONTENT = np.random.default_rng(0).bytes(1_000_000)


class Server(ThreadingHTTPServer):
    """Serves CONTENT under every name; may break off, know no ranges or answer an error."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = CONTENT
        self.ranges: list[str | None] = []
        self.break_after: list[int] = []  # bytes, one for each of the next answers
        self.knows_ranges = True
        self.status: list[int] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/corpus.tar.gz"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.ranges.append(wanted)
        if self.server.status:
            self.send_error(self.server.status.pop(0))
            return
        content, start = self.server.content, 0
        if wanted and self.server.knows_ranges:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.end_headers()
                return
            self.send_response(206)
        else:
            self.send_response(200)
        body = content[start:]
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.server.break_after:
            body = body[: self.server.break_after.pop(0)]
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "*")
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_a_whole_download_is_checked_and_leaves_no_part(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "corpus.tar.gz"
    download(server.url, path, sha256=sha256(CONTENT))
    assert path.read_bytes() == CONTENT
    assert [file.name for file in path.parent.iterdir()] == ["corpus.tar.gz"]
    assert server.ranges == [None]


def test_a_connection_that_breaks_off_is_gone_on_with_at_once(server: Server, tmp_path: Path) -> None:
    server.break_after = [300_000, 200_000]
    download(server.url, tmp_path / "c.tar.gz", sha256=sha256(CONTENT))
    assert (tmp_path / "c.tar.gz").read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=300000-", "bytes=500000-"]


def test_the_next_run_goes_on_where_the_last_one_failed(server: Server, tmp_path: Path) -> None:
    server.break_after = [100_000, 100_000, 100_000]
    path = tmp_path / "c.tar.gz"
    with pytest.raises(
        CorpusError, match=r"speech cannot be downloaded .*--corpus DIR.*300,000 bytes are kept"
    ):
        download(server.url, path, sha256=sha256(CONTENT), corpus="speech")
    assert not path.exists()
    assert (tmp_path / "c.tar.gz.part").stat().st_size == 300_000
    download(server.url, path, sha256=sha256(CONTENT))
    assert path.read_bytes() == CONTENT
    assert server.ranges[-1] == "bytes=300000-"


def test_a_server_without_ranges_sends_all_again(server: Server, tmp_path: Path) -> None:
    server.knows_ranges = False
    (tmp_path / "c.tar.gz.part").write_bytes(b"x" * 1000)
    download(server.url, tmp_path / "c.tar.gz", sha256=sha256(CONTENT))
    assert (tmp_path / "c.tar.gz").read_bytes() == CONTENT


def test_a_part_that_is_whole_already_is_taken(server: Server, tmp_path: Path) -> None:
    (tmp_path / "c.tar.gz.part").write_bytes(CONTENT)
    download(server.url, tmp_path / "c.tar.gz", sha256=sha256(CONTENT))
    assert (tmp_path / "c.tar.gz").read_bytes() == CONTENT


def test_a_part_longer_than_the_file_is_thrown_away(server: Server, tmp_path: Path) -> None:
    (tmp_path / "c.tar.gz.part").write_bytes(CONTENT + b"more")
    download(server.url, tmp_path / "c.tar.gz")
    assert (tmp_path / "c.tar.gz").read_bytes() == CONTENT


def test_a_wrong_file_is_refused_by_name_and_not_kept(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "speech.tar.gz"
    with pytest.raises(
        CorpusError, match=rf"speech\.tar\.gz is not the file.*{sha256(b'other')}.*{sha256(CONTENT)}"
    ):
        download(server.url, path, sha256=sha256(b"other"))
    assert list(tmp_path.iterdir()) == []


def test_a_server_in_trouble_is_asked_again_and_a_missing_file_not(server: Server, tmp_path: Path) -> None:
    server.status = [503]
    download(server.url, tmp_path / "a.tar.gz")
    assert len(server.ranges) == 2
    server.status = [404, 404]
    with pytest.raises(CorpusError, match=r"cannot be downloaded.*404"):
        download(server.url, tmp_path / "b.tar.gz")
    assert len(server.ranges) == 3


def test_without_a_network_both_ways_to_the_data_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "*")
    archive = Archive("speech", "speech.tar.gz", "http://127.0.0.1:9/speech.tar.gz")
    with pytest.raises(
        CorpusError, match=r"127\.0\.0\.1:9/speech.* cannot be downloaded.*--corpus DIR.*network"
    ):
        fetch(archive, tmp_path)
    with pytest.raises(CorpusError, match="not a web address"):
        download("file:///etc/hosts", tmp_path / "x")


def make_tar(names: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in names.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def test_fetch_unpacks_once_and_needs_no_network_afterwards(server: Server, tmp_path: Path) -> None:
    server.content = make_tar({"waves/a.wav": b"one", "waves/b.wav": b"two"})
    archive = Archive("speech", "speech.tar.gz", server.url, sha256(server.content))
    folder = fetch(archive, tmp_path)
    assert folder == tmp_path / "speech"
    assert (folder / "waves" / "b.wav").read_bytes() == b"two"
    assert [path.name for path in tmp_path.iterdir()] == ["speech"]
    assert fetch(archive, tmp_path) == folder
    assert len(server.ranges) == 1


def test_fetch_refuses_a_wrong_archive_that_lies_in_the_cache(tmp_path: Path) -> None:
    (tmp_path / "speech.tar.gz").write_bytes(make_tar({"a": b"1"}))
    with pytest.raises(CorpusError, match=r"speech\.tar\.gz is not the file that it should be"):
        fetch(Archive("speech", "speech.tar.gz", "http://127.0.0.1:9/", sha256(b"")), tmp_path)
    assert (tmp_path / "speech.tar.gz").exists()
    assert not (tmp_path / "speech").exists()


@pytest.mark.parametrize("name", ["../evil.txt", "a/../../evil.txt", "/evil.txt"])
def test_no_member_lands_outside_its_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.tar.gz").write_bytes(make_tar({name: b"evil"}))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(name, b"evil")
    for file in ("a.tar.gz", "a.zip"):
        folder = tmp_path / "to" / file
        folder.mkdir(parents=True)
        with pytest.raises(CorpusError, match="would land outside its folder"):
            unpack(tmp_path / file, folder)
    assert not list(tmp_path.rglob("evil.txt"))


def test_links_of_a_tar_are_left_out_and_zips_unpack(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("deep/er/a.txt", b"text")
    unpack(tmp_path / "a.tar", tmp_path / "out")
    unpack(tmp_path / "a.zip", tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").rglob("*") if path.is_file()] == ["a.txt"]
    assert not (tmp_path / "out" / "link").is_symlink()


@pytest.mark.parametrize("share", [0.0, 0.5, 0.95])
def test_a_damaged_archive_is_refused_by_name(tmp_path: Path, share: float) -> None:
    whole = make_tar({"a": CONTENT[:50_000]})
    (tmp_path / "a.tar.gz").write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(CorpusError, match=r"a\.tar\.gz is damaged or not an archive"):
        unpack(tmp_path / "a.tar.gz", tmp_path / "out")


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("ASR_KD_CACHE", raising=False)
    assert cache_folder() == tmp_path / "asr_kd"
    monkeypatch.setenv("ASR_KD_CACHE", str(tmp_path / "mine"))
    assert cache_folder() == tmp_path / "mine"
