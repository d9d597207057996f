"""Tar shards: read back by webdataset and by us, stable bytes, keys that are not cut, damage refused."""

from __future__ import annotations

import io
import tarfile

import pytest
import webdataset

from asr_kd.data.shards import ShardWriter, read_shard, shard_key
from asr_kd.errors import ShardError
from asr_kd.fingerprint import file_sha256

UTT_IDS = [
    "plain-id_1",
    "spk.1-utt.2",
    "a.b",
    "a/b",
    "a%2Eb",
    "a@b",
    ".hidden",
    "zürich-3",
    "x" * 300,
    "x" * 299 + "y",
    "dots." * 60,
]


def write(path, samples):
    with ShardWriter(path) as shard:
        for key, parts in samples:
            shard.add(key, parts)
    return shard.result


def read(path):
    with path.open("rb") as stream:
        return [(sample.key, sample.parts) for sample in read_shard(stream, path.name)]


def test_keys_stay_whole_and_apart_in_webdataset(tmp_path):
    path = tmp_path / "a.tar"
    names = [(utt_id, view) for utt_id in UTT_IDS for view in ("", "speed0.9", "speed1.1")]
    keys = [shard_key(utt_id, view) for utt_id, view in names]
    assert len(set(keys)) == len(names)
    write(path, [(key, {"json": b"{}", "features.npy": key.encode()}) for key in keys])
    loaded = list(webdataset.WebDataset(str(path), shardshuffle=False))
    assert [sample["__key__"] for sample in loaded] == keys
    assert [sample["features.npy"] for sample in loaded] == [key.encode() for key in keys]
    with tarfile.open(path) as tar:
        assert max(len(name) for name in tar.getnames()) <= 100


def test_a_view_cannot_be_taken_for_part_of_an_id():
    assert shard_key("a@b") != shard_key("a", "b")
    assert shard_key("a") == "a"
    assert shard_key("a.b", "v") == "a%2Eb@v"


def test_what_is_read_is_what_was_written(tmp_path):
    samples = [("a", {"x": b"1" * 700, "y.npy": b""}), ("b", {"x": b"2"})]
    result = write(tmp_path / "a.tar", samples)
    assert read(tmp_path / "a.tar") == samples
    assert result.num_samples == 2
    assert result.num_bytes == (tmp_path / "a.tar").stat().st_size
    assert result.sha256 == file_sha256(tmp_path / "a.tar")


def test_bytes_depend_on_content_alone(tmp_path):
    first = write(tmp_path / "a.tar", [("a", {"x": b"1", "y": b"2"})])
    second = write(tmp_path / "elsewhere" / "b.tar", [("a", {"y": b"2", "x": b"1"})])
    assert first == second
    with tarfile.open(tmp_path / "a.tar") as tar:
        member = tar.getmembers()[0]
    assert (member.mtime, member.uid, member.uname, member.gname) == (0, 0, "", "")


def test_a_broken_off_shard_does_not_exist(tmp_path):
    def broken_off():
        with ShardWriter(tmp_path / "a.tar") as shard:
            shard.add("a", {"x": b"1"})
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        broken_off()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kept", [100, 513, 700, 1500])
def test_a_cut_tar_is_refused(tmp_path, kept):
    write(tmp_path / "a.tar", [("a", {"x": b"1" * 600, "y": b"2" * 600})])
    data = (tmp_path / "a.tar").read_bytes()[:kept]
    with pytest.raises(ShardError, match=r"a\.tar"):
        list(read_shard(io.BytesIO(data), "a.tar"))


@pytest.mark.parametrize("names", [["a.x", "a.x"], ["a.x", "b.x", "a.y"]])
def test_doubled_or_scattered_members_are_refused(tmp_path, names):
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as tar:
        for name in names:
            tar.addfile(tarfile.TarInfo(name), io.BytesIO(b""))
    with pytest.raises(ShardError, match="doubled or apart"):
        read(path)
