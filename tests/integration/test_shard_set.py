"""Posterior shard sets: written, killed and resumed, opened or refused, read in batches by several ranks."""

from __future__ import annotations

import functools
import http.server
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
from collections import Counter

import numpy as np
import pytest
import torch

from asr_kd.data.windows import ContextWindow
from asr_kd.distill.loss import NO_LABEL
from asr_kd.distill.shard_header import ShardSetFacts
from asr_kd.distill.shard_reader import ShardBatchSource
from asr_kd.distill.shard_set import open_shard_set
from asr_kd.distill.shard_tools import shards_bench, shards_info, shards_verify
from asr_kd.distill.shard_writer import ShardSetWriter
from asr_kd.distill.sparse import Dense, TopK
from asr_kd.distill.targets import soft_targets
from asr_kd.errors import AsrKdError, ShardError

NUM_SENONES = 11
LENGTHS = {"u.1": 9, "u.2": 30, "u.3": 1, "u.4": 17, "u.5": 12, "u.6": 25, "u.7": 3, "u.8": 21}


def facts(**changes):
    fields = {
        "averaging": "arithmetic",
        "temperature": 2.0,
        "code": TopK(k=4),
        "teachers": ("aa", "bb"),
        "frontend": {"name": "fbank", "fingerprint": "ff"},
        "cmvn": "speaker",
        "feature_dim": 3,
        "frame_shift": 0.01,
        "alignment": "al",
        "tree": "tr",
        "num_senones": NUM_SENONES,
        "prior": (1 / NUM_SENONES,) * NUM_SENONES,
        "window": {"left": 2, "right": 1},
    }
    return ShardSetFacts(**{**fields, **changes})


def utterance(number, utt_id):
    """Features that name utterance and frame, so that any mismatch shows."""
    generator = torch.Generator().manual_seed(number)
    num_frames = LENGTHS[utt_id]
    frames = torch.arange(num_frames)
    features = torch.stack(
        [torch.full((num_frames,), number), frames, torch.zeros(num_frames)], dim=1
    ).float()
    pdf_ids = (number + frames) % NUM_SENONES
    log_q = (3 * torch.randn(num_frames, NUM_SENONES, generator=generator)).log_softmax(1)
    return features, pdf_ids, log_q


def write(folder, the_facts=None, utt_ids=tuple(LENGTHS), shard_frames=30, labelled=True):
    with ShardSetWriter(folder, the_facts or facts(), shard_frames=shard_frames) as writer:
        for utt_id in utt_ids:
            features, pdf_ids, log_q = utterance(list(LENGTHS).index(utt_id), utt_id)
            if not writer.is_written("train", utt_id):
                writer.add("train", utt_id, features, pdf_ids if labelled else None, log_q)
        return writer.finish()


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def folder(tmp_path):
    write(tmp_path / "set")
    return tmp_path / "set"


def source(folder, **arguments):
    defaults = {"batch_size": 8, "window": ContextWindow(2, 1), "pool_frames": 40}
    return ShardBatchSource(open_shard_set(folder), ["train"], **{**defaults, **arguments})


def pairs(batches):
    """Return (utterance, frame, pdf_id, kept ids, tail) of every row."""
    rows = []
    for batch in batches:
        soft = soft_targets(batch.targets)
        centre = batch.windows[:, 2].int().tolist()
        for row, (number, frame, _) in enumerate(centre):
            kept = tuple(sorted(soft.ids[row].tolist()))
            rows.append((number, frame, int(batch.targets["pdf_ids"][row]), kept, float(soft.tail[row])))
    return rows


def expected_pairs():
    rows = []
    for number, utt_id in enumerate(LENGTHS):
        _, pdf_ids, log_q = utterance(number, utt_id)
        top = log_q.topk(4)
        for frame in range(LENGTHS[utt_id]):
            tail = 1 - float(top.values[frame].exp().sum())
            rows.append(
                (number, frame, int(pdf_ids[frame]), tuple(sorted(top.indices[frame].tolist())), tail)
            )
    return rows


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


def test_doubled_utterances_are_refused(tmp_path):
    with pytest.raises(ShardError, match=r"utterance u\.1 is in train twice"):
        write(tmp_path, utt_ids=("u.1", "u.2", "u.1"))


@pytest.mark.parametrize("num_done", range(len(LENGTHS)))
def test_a_broken_off_run_resumes_to_the_same_bytes(tmp_path, num_done, folder):
    def broken_off():
        with ShardSetWriter(tmp_path / "b", facts(), shard_frames=30) as writer:
            for number, utt_id in enumerate(LENGTHS):
                if number == num_done:
                    raise KeyboardInterrupt
                writer.add("train", utt_id, *utterance(number, utt_id))

    with pytest.raises(KeyboardInterrupt):
        broken_off()
    assert not (tmp_path / "b" / "header.json").exists()
    write(tmp_path / "b")
    assert files(tmp_path / "b") == files(folder)


def test_finished_shards_need_no_teacher(tmp_path, folder):
    shutil.copytree(folder, tmp_path / "b")
    (tmp_path / "b" / "header.json").unlink()
    (tmp_path / "b" / "train-000002.json").unlink()  # a tar that was renamed just before the kill
    with ShardSetWriter(tmp_path / "b", facts(), shard_frames=30) as writer:
        needed = [utt_id for utt_id in LENGTHS if not writer.is_written("train", utt_id)]
        assert needed == ["u.6", "u.7", "u.8"]
        for utt_id in needed:
            writer.add("train", utt_id, *utterance(list(LENGTHS).index(utt_id), utt_id))
        writer.finish()
    assert files(tmp_path / "b") == files(folder)


def test_resuming_with_other_facts_or_another_order_is_refused(tmp_path, folder):
    with pytest.raises(ShardError, match="another temperature"):
        ShardSetWriter(folder, facts(temperature=3.0), shard_frames=30)
    with pytest.raises(ShardError, match="another shard_frames"):
        ShardSetWriter(folder, facts(), shard_frames=31)
    with pytest.raises(ShardError, match=r"another order.*u\.1.*u\.2"):
        write(folder, utt_ids=("u.2", "u.1"))
    with pytest.raises(ShardError, match=r"fewer utterances.*u\.2"):
        write(folder, utt_ids=("u.1",))


@pytest.mark.parametrize("delay", [0.0, 0.05, 0.15])
def test_a_killed_process_leaves_only_whole_shards(tmp_path, folder, delay):
    script = textwrap.dedent("""
        import sys, time
        from pathlib import Path
        sys.path[:0] = sys.argv[2:4]
        import test_shard_set as t
        with t.ShardSetWriter(Path(sys.argv[1]), t.facts(), shard_frames=30) as writer:
            print("ready", flush=True)
            for number, utt_id in enumerate(t.LENGTHS):
                writer.add("train", utt_id, *t.utterance(number, utt_id))
                time.sleep(0.03)
    """)
    here = os.path.dirname(__file__)
    paths = [here, os.path.dirname(os.path.dirname(here))]
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "b"), *paths], stdout=subprocess.PIPE
    )
    process.stdout.readline()
    threading.Event().wait(delay)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    for tar in (tmp_path / "b").glob("*.tar"):
        assert tar.read_bytes() == (folder / tar.name).read_bytes()
    write(tmp_path / "b")
    assert files(tmp_path / "b") == files(folder)


def test_splits_may_be_written_apart(tmp_path):
    for split, utt_ids in (("transfer", ("u.3", "u.4")), ("train", ("u.1", "u.2"))):
        with ShardSetWriter(tmp_path, facts(), shard_frames=30) as writer:
            for utt_id in utt_ids:
                writer.add(split, utt_id, *utterance(list(LENGTHS).index(utt_id), utt_id))
    with ShardSetWriter(tmp_path, facts(), shard_frames=30) as writer:
        header = writer.finish()
    assert {split: sum(s.num_samples for s in shards) for split, shards in header.splits.items()} == {
        "train": 2,
        "transfer": 2,
    }
    batches = ShardBatchSource(open_shard_set(tmp_path), ["train", "transfer"], 8, ContextWindow(2, 1), 20)
    assert sorted({row[0] for row in pairs(batches.epoch(0))}) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"features": torch.zeros(9, 4)}, "features of another shape"),
        ({"features": torch.full((9, 3), 1e6)}, "float16 cannot hold"),
        ({"pdf_ids": torch.zeros(8, dtype=torch.int32)}, "pdf_ids of another shape"),
        ({"pdf_ids": torch.full((9,), 70000)}, "outside the inventory"),
        ({"log_q": torch.zeros(9, 12)}, "log_q of another shape"),
        ({"view": "speed0.9"}, "unknown view"),
    ],
)
def test_what_does_not_fit_is_not_written(tmp_path, change, match):
    features, pdf_ids, log_q = utterance(0, "u.1")
    arguments = {"features": features, "pdf_ids": pdf_ids, "log_q": log_q, **change}
    writer = ShardSetWriter(tmp_path, facts())
    with pytest.raises(ShardError, match=match):
        writer.add("train", "u.1", **arguments)


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
