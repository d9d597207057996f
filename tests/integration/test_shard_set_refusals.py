"""A posterior shard set that does not fit or is damaged is refused by field or file."""

from __future__ import annotations

import json

import pytest

from asr_kd.distill.shard_set import open_shard_set
from asr_kd.errors import ShardError
from tests.support.shard_sets import source, write


@pytest.fixture
def folder(tmp_path):
    write(tmp_path / "set")
    return tmp_path / "set"


@pytest.mark.parametrize(
    ("field", "expected", "got"),
    [
        ("temperature", 4.0, "2.0"),
        ("teachers", ["aa", "cc"], "bb"),
        ("frontend.fingerprint", "fx", "ff"),
        ("frame_shift", 0.0125, "0.01"),
        ("alignment", "other", "al"),
        ("tree", "other", "tr"),
        ("views", ["", "speed0.9"], r"\[\"\"\]"),
        ("code.k", 8, "4"),
        ("averaging", "geometric", "arithmetic"),
    ],
)
def test_a_set_for_something_else_is_refused_by_field(folder, field, expected, got):
    with pytest.raises(ShardError, match=rf"{field} differs.*expected.*got.*{got}"):
        open_shard_set(folder, {field: expected})


def test_a_fitting_set_is_taken(folder):
    open_shard_set(folder, {"temperature": 2, "teachers": ("aa", "bb"), "code.name": "topk"})


def test_damage_is_refused_by_file(folder):
    shards = sorted(folder.glob("*.tar"))
    saved = {shard: shard.read_bytes() for shard in shards}

    def check(match):
        with pytest.raises(ShardError, match=match):
            open_shard_set(folder).verify()
        for shard, data in saved.items():
            shard.write_bytes(data)

    shards[1].unlink()
    check(r"train-000001\.tar: a shard is missing")
    shards[2].write_bytes(saved[shards[2]][:-512])
    check(r"train-000002\.tar: the shard is cut off")
    shards[0].write_bytes(saved[shards[0]][:600] + b"x" + saved[shards[0]][601:])
    check(r"train-000000\.tar: not the shard that the header names")
    shards[0].write_bytes(saved[shards[1]])
    check(r"train-000000\.tar: (not the shard|the shard is cut off)")


def test_a_doubled_shard_or_a_false_count_in_the_header_is_refused(folder):
    text = (folder / "header.json").read_text()
    header = json.loads(text)
    header["splits"]["train"].append(header["splits"]["train"][0])
    (folder / "header.json").write_text(json.dumps(header))
    with pytest.raises(ShardError, match=r"train-000000\.tar: a shard is in the header twice"):
        open_shard_set(folder)
    header = json.loads(text)
    header["splits"]["train"][0]["num_frames"] += 1
    (folder / "header.json").write_text(json.dumps(header))
    with pytest.raises(ShardError, match=r"train-000000\.tar.*40.*39"):
        open_shard_set(folder).verify()
    with pytest.raises(ShardError, match=r"train-000000\.tar"):
        list(source(folder).epoch(0))


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"format_version": 2}, "version 1, got 2"),
        ({"temperature": -1}, "temperature"),
        ({"code": {"name": "magic"}}, "code"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_header_that_cannot_be_used_is_refused_by_field(folder, change, match):
    header = json.loads((folder / "header.json").read_text())
    (folder / "header.json").write_text(json.dumps({**header, **change}))
    with pytest.raises(ShardError, match=match):
        open_shard_set(folder)


def test_no_header_no_set(tmp_path):
    with pytest.raises(ShardError, match="no finished shard set"):
        open_shard_set(tmp_path)
