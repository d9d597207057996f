"""Reading a posterior shard set: pairs, order, ranks, places and temperatures."""

from __future__ import annotations

import functools
import http.server
import itertools
import json
import threading
from collections import Counter

import numpy as np
import pytest
import torch

from asr_kd.data.windows import NO_LABEL, ContextWindow
from asr_kd.distill.shard_reader import ShardBatchSource
from asr_kd.distill.shard_set import open_shard_set
from asr_kd.distill.shard_tools import shards_bench, shards_info, shards_verify
from asr_kd.distill.sparse import Dense, TopK
from asr_kd.distill.targets import soft_targets
from asr_kd.errors import AsrKdError, ShardError
from tests.support.shard_sets import LENGTHS, expected_pairs, facts, files, pairs, source, utterance, write


@pytest.fixture
def folder(tmp_path):
    write(tmp_path / "set")
    return tmp_path / "set"


def test_the_header_counts_what_was_written(folder):
    header = open_shard_set(folder).header
    assert header.num_frames(("train",)) == sum(LENGTHS.values())
    # A shard is full once it has 30 frames: 9 + 30, 1 + 17 + 12, 25 + 3 + 21
    assert [shard.num_frames for shard in header.splits["train"]] == [39, 30, 49]
    assert header.bytes_per_frame()["features"] > 6
    open_shard_set(folder).verify()


def test_the_same_inputs_write_the_same_bytes(tmp_path):
    write(tmp_path / "a")
    write(tmp_path / "b")
    assert files(tmp_path / "a") == files(tmp_path / "b")


def test_every_frame_comes_back_with_its_own_targets(folder):
    for pool_frames in (16, 40, 1000):
        got = pairs(source(folder, pool_frames=pool_frames).epoch(0))
        for row, expected in zip(sorted(got), expected_pairs(), strict=True):
            assert row[:4] == expected[:4]
            assert row[4] == pytest.approx(expected[4], abs=0.004)


def test_windows_stay_within_their_utterance(folder):
    for batch in source(folder).epoch(0):
        number, frame = batch.windows[..., 0], batch.windows[..., 1]
        assert (number == number[:, 2:3]).all()
        last = torch.tensor(list(LENGTHS.values()))[number[:, 0].long()] - 1
        expected = (frame[:, 2:3] + torch.arange(-2, 2)).clamp(min=0)
        torch.testing.assert_close(frame, torch.minimum(expected, last[:, None].float()))


def test_shuffled_shards_give_the_same_pairs(folder):
    header = json.loads((folder / "header.json").read_text())
    before = Counter(pairs(source(folder).epoch(0)))
    header["splits"]["train"].reverse()
    (folder / "header.json").write_text(json.dumps(header))
    assert Counter(pairs(source(folder).epoch(0))) == before


@pytest.mark.parametrize("pool_frames", [16, 40, 1000])
def test_epochs_differ_and_repeat(folder, pool_frames):
    first, again = source(folder, pool_frames=pool_frames), source(folder, pool_frames=pool_frames)
    assert pairs(first.epoch(0)) == pairs(again.epoch(0))
    assert pairs(first.epoch(1)) == pairs(again.epoch(1))
    assert pairs(first.epoch(0)) != pairs(first.epoch(1))
    assert pairs(first.epoch(0)) != pairs(source(folder, pool_frames=pool_frames, seed=1).epoch(0))


@pytest.mark.parametrize("pool_frames", [16, 40, 1000])
def test_resuming_inside_an_epoch_gives_the_rest_of_it(folder, pool_frames):
    batches = source(folder, pool_frames=pool_frames)
    whole = list(batches.epoch(3))
    assert len(whole) == batches.batches_per_epoch
    for first in (0, 1, 7, len(whole) - 1, len(whole)):
        rest = list(source(folder, pool_frames=pool_frames).epoch(3, first_batch=first))
        assert pairs(rest) == pairs(whole[first:])


def test_resuming_does_not_read_the_shards_before_it(folder, monkeypatch):
    read = []
    batches = source(folder, pool_frames=32)
    original = batches._set.read
    monkeypatch.setattr(batches._set, "read", lambda shard: read.append(shard.name) or original(shard))
    list(batches.epoch(0, first_batch=batches.batches_per_epoch - 1))
    assert len(read) == 1


@pytest.mark.parametrize("world_size", [1, 2, 3])
@pytest.mark.parametrize("pool_frames", [16, 40, 1000])
@pytest.mark.parametrize("num_streams", [1, 2, 3])
def test_ranks_share_every_batch_without_loss_or_repetition(folder, world_size, pool_frames, num_streams):
    ranks = [
        source(
            folder, pool_frames=pool_frames, rank=rank, world_size=world_size, num_streams=num_streams
        ).epoch(5)
        for rank in range(world_size)
    ]
    together = [pairs(shares) for shares in zip(*ranks, strict=True)]
    alone = source(folder, pool_frames=pool_frames, num_streams=num_streams)
    assert [sorted(batch) for batch in together] == [sorted(pairs([batch])) for batch in alone.epoch(5)]
    seen = [row[:2] for row in itertools.chain(*together)]
    assert sorted(seen) == [row[:2] for row in expected_pairs()]


def test_a_rank_reads_the_streams_that_its_share_lies_in(folder, monkeypatch):
    read = []
    half = source(folder, pool_frames=16, rank=1, world_size=2, num_streams=2)
    original = half._set.read
    monkeypatch.setattr(half._set, "read", lambda shard: read.append(shard.num_frames) or original(shard))
    list(half.epoch(0))
    # Half of 118 frames in shards of 39, 30 and 49: two of the three, whichever come last.
    assert len(set(read)) == 2


def test_audio_without_labels_has_none(tmp_path):
    write(tmp_path / "set", labelled=False)
    for batch in source(tmp_path / "set").epoch(0):
        assert (batch.targets["pdf_ids"] == NO_LABEL).all()


def test_another_frontends_features_are_joined_by_utt_id_and_frame(folder):
    def lookup(utt_id, view):
        number, num_frames = list(LENGTHS).index(utt_id), LENGTHS[utt_id]
        return np.stack(
            [np.full(num_frames, number), np.arange(num_frames), np.arange(num_frames) * 2], axis=1
        )

    for batch in source(folder, features=lookup).epoch(0):
        assert (batch.windows[..., 2] == 2 * batch.windows[..., 1]).all()
    with pytest.raises(ShardError, match=r"u\.\d.*number of frames"):
        list(source(folder, features=lambda utt_id, view: lookup(utt_id, view)[1:]).epoch(0))


def test_dense_targets_come_back_dense(tmp_path):
    write(tmp_path / "set", facts(code=Dense()))
    batch = next(source(tmp_path / "set").epoch(0))
    soft = soft_targets(batch.targets)
    assert soft.is_dense
    number, frame, _ = batch.windows[0, 2].int().tolist()
    log_q = utterance(number, list(LENGTHS)[number])[2]
    torch.testing.assert_close(soft.probs[0].float(), log_q[frame].exp(), rtol=5e-3, atol=1e-6)


@pytest.fixture
def server(folder):
    handler = functools.partial(QuietHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()
        thread.join()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        """Say nothing."""


def test_a_set_behind_a_server_is_read_and_cached(tmp_path, folder, server):
    expected = pairs(source(folder).epoch(0))
    assert pairs(source(server).epoch(0)) == expected
    cache = tmp_path / "cache"
    for _ in range(2):
        cached = ShardBatchSource(open_shard_set(server, cache=cache), ["train"], 8, ContextWindow(2, 1), 40)
        assert pairs(cached.epoch(0)) == expected
        for shard in folder.glob("*.tar"):
            shard.unlink()  # the second time all shards come from the cache
    assert len(list(cache.iterdir())) == 3


def test_a_set_behind_a_pipe_is_read(folder):
    location = f"pipe:cat {folder}/{{}}"
    assert pairs(source(location).epoch(0)) == pairs(source(folder).epoch(0))
    (folder / "train-000001.tar").unlink()
    with pytest.raises(AsrKdError, match=r"train-000001\.tar.*(cut off|failed)"):
        list(source(location).epoch(0))


def test_a_url_of_fsspec_is_read(folder):
    assert pairs(source(f"file://{folder}").epoch(0)) == pairs(source(folder).epoch(0))


def test_a_geometric_mean_is_read_at_another_temperature(tmp_path):
    write(tmp_path, facts(averaging="geometric", code=TopK(k=4, powers=(0.5,))))
    rows = {}
    for batch in source(tmp_path, temperature=4.0).epoch(0):
        soft = soft_targets(batch.targets)
        for row, (number, frame, _) in enumerate(batch.windows[:, 2].int().tolist()):
            rows[number, frame] = float(soft.tail[row])
    for number, utt_id in enumerate(LENGTHS):
        q = (utterance(number, utt_id)[2] / 2).softmax(1)
        tails = 1 - q.topk(4).values.sum(1)
        assert [rows[number, frame] for frame in range(len(q))] == pytest.approx(tails.tolist(), abs=0.004)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, "arithmetic mean of 2 teachers"),
        ({"averaging": "weighted", "weights": (1.0, 2.0)}, "weighted mean of 2 teachers"),
        ({"averaging": "geometric"}, "tails are not stored"),
    ],
)
def test_a_temperature_that_cannot_be_had_is_refused_with_the_reason(tmp_path, changes, reason):
    write(tmp_path, facts(**changes))
    with pytest.raises(ShardError, match=f"cannot be changed.*{reason}.*expected 2.0, got 4.0"):
        source(tmp_path, temperature=4.0)
    assert source(tmp_path, temperature=2.0).num_frames == sum(LENGTHS.values())


def test_one_teacher_may_be_tempered_again_whatever_the_mean(tmp_path):
    write(tmp_path, facts(averaging="weighted", weights=(0.0, 2.0), code=Dense()))
    assert source(tmp_path, temperature=4.0).num_frames == sum(LENGTHS.values())


def test_info_verify_and_bench_report(folder):
    info = shards_info(folder)
    assert info.splits[0].num_frames == sum(LENGTHS.values())
    assert info.facts["temperature"] == "2"
    assert shards_verify(folder, {"teachers": ["aa", "bb"]}) == info
    with pytest.raises(ShardError, match="teachers differs"):
        shards_verify(folder, {"teachers": ["aa"]})
    bench = shards_bench(folder, batch_size=8)
    assert min(bench.read, bench.decoded, bench.batches, bench.batches_in_memory) > 0
