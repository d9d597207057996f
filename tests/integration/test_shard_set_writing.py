"""Writing a posterior shard set: broken off, killed, apart, and what is not written."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading

import pytest
import torch

from asr_kd.data.windows import ContextWindow
from asr_kd.distill.shard_reader import ShardBatchSource
from asr_kd.distill.shard_set import open_shard_set
from asr_kd.distill.shard_writer import ShardSetWriter
from asr_kd.errors import ShardError
from tests.support.shard_sets import LENGTHS, facts, files, pairs, utterance, write


@pytest.fixture
def folder(tmp_path):
    write(tmp_path / "set")
    return tmp_path / "set"


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
