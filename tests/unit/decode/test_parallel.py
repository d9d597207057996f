from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from asr_kd.decode.beam import DecodeConfig
from asr_kd.decode.graph import build_graph, save_graph
from asr_kd.decode.parallel import DecoderPool, decode_all
from asr_kd.errors import ConfigError, GraphError, ModelError
from asr_kd.lang.hmm import monophone_hmm
from asr_kd.lang.lexicon import Lexicon
from asr_kd.lang.ngram import uniform_ngram
from asr_kd.lang.phones import PhoneSet

REPOSITORY = Path(__file__).resolve().parents[3]
LEXICON = Lexicon({"a": (("A",),), "b": (("B",),), "ä": (("A", "B"),)})
HMM = monophone_hmm(PhoneSet.from_lexicon(LEXICON))
CONFIG = DecodeConfig(acoustic_scale=1.0, insertion_penalty=0.5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("decode") / "graph"
    save_graph(path, build_graph(LEXICON, HMM, uniform_ngram(LEXICON.words)))
    return path


@pytest.fixture(scope="module")
def pool(folder):
    with DecoderPool(folder, num_processes=2) as pool:
        yield pool


def items(num_utterances: int, seed: int = 0):
    rng = np.random.default_rng(seed)
    for number in range(num_utterances):
        # Lengths that differ a lot: a short utterance is done long before the long one ahead of it.
        num_frames = 400 if number % 5 == 0 else 10 + number
        yield f"utt{number}", rng.normal(0, 2, (num_frames, HMM.num_pdfs)).astype(np.float32)


def test_two_processes_give_what_one_gives_in_the_same_order(folder):
    alone = list(decode_all(folder, items(20), CONFIG, num_processes=1))
    together = list(decode_all(folder, items(20), CONFIG, num_processes=2))
    assert [utt_id for utt_id, _ in alone] == [f"utt{number}" for number in range(20)]
    assert together == alone
    assert any("ä" in hypothesis.words for _, hypothesis in together)


def test_settings_may_change_between_calls(folder, pool):
    for penalty in (0.0, 3.0, -3.0, 0.0):
        config = DecodeConfig(acoustic_scale=0.7, insertion_penalty=penalty)
        assert list(pool.decode(items(4), config)) == list(decode_all(folder, items(4), config))


def test_empty_hypotheses_come_back(pool):
    impossible = np.full((5, HMM.num_pdfs), -np.inf, np.float32)
    (_, hypothesis), *_ = pool.decode([("u", impossible)], CONFIG)
    assert (hypothesis.words, hypothesis.cost, hypothesis.reached_final) == ((), float("inf"), False)
    assert [h.words for _, h in pool.decode([("u", np.zeros((0, HMM.num_pdfs)))], CONFIG)] == [()]


def test_input_is_read_only_as_far_ahead_as_needed(pool):
    num_read = 0

    def counted():
        nonlocal num_read
        for item in items(30):
            num_read += 1
            yield item

    for num_done, _ in enumerate(pool.decode(counted(), CONFIG), start=1):
        assert num_read - num_done <= 2 * 2
    assert num_read == 30


def test_a_consumer_may_stop_early(pool):
    results = pool.decode(items(30), CONFIG)
    assert next(results)[0] == "utt0"
    results.close()
    assert [utt_id for utt_id, _ in pool.decode(items(3), CONFIG)] == ["utt0", "utt1", "utt2"]


@pytest.mark.parametrize("num_processes", [1, 2])
@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.zeros((5, 3), np.float32), r"bad: log-likelihoods do not fit .* expected \[T, 9\], got \[5, 3\]"),
        (np.full((5, 9), np.nan, np.float32), r"bad: log-likelihoods hold NaN"),
    ],
)
def test_errors_name_the_utterance(folder, num_processes, matrix, message):
    with pytest.raises(ModelError, match=message):
        list(decode_all(folder, [*items(3), ("bad", matrix)], CONFIG, num_processes))


def test_errors_of_the_input_pass_through(pool):
    def broken():
        yield from items(3)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(pool.decode(broken(), CONFIG))
    assert len(list(pool.decode(items(3), CONFIG))) == 3


@pytest.mark.parametrize("num_processes", [1, 2])
def test_a_missing_graph(tmp_path, num_processes):
    with pytest.raises(GraphError, match="no decoding graph here"):
        list(decode_all(tmp_path / "none", items(1), CONFIG, num_processes))


def test_number_of_processes_is_checked(folder):
    with pytest.raises(ConfigError, match="num_processes"):
        DecoderPool(folder, 0)


def test_a_process_that_dies_is_an_error_and_not_a_hang(folder):
    with DecoderPool(folder, num_processes=2) as pool:
        for process in pool._processes:
            os.kill(process._process.pid, signal.SIGKILL)
        with pytest.raises(GraphError, match=r"utt0: a decoding process ended; got exit status -9"):
            list(pool.decode(items(3), CONFIG))


def test_a_decoding_process_imports_no_torch():
    script = "import sys, asr_kd.decode.worker; print(' '.join(sys.modules))"
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    loaded = {name.split(".")[0] for name in run.stdout.split()}
    assert "kaldi_decoder" in loaded
    assert not loaded & {"torch", "torchaudio", "librosa", "rich"}


def test_a_script_needs_no_main_guard(folder, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        f"""
import sys
from pathlib import Path
import numpy as np
sys.path.insert(0, {str(REPOSITORY)!r})
from asr_kd.decode.parallel import decode_all
print("once")
items = [("u", np.zeros((20, {HMM.num_pdfs}), np.float32))] * 4
print(len(list(decode_all(Path({str(folder)!r}), items, num_processes=2))))
"""
    )
    run = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=True, timeout=60
    )
    assert run.stdout.split() == ["once", "4"]
    assert run.stderr == ""
