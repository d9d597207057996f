"""Speed of search and ``transcribe`` beside a bare decoder, and word errors beside pocketsphinx.

``python benchmarks/decoding.py WORKDIR [--utterances 100] [--rounds 5] [--peer] [--language-weights 6.5]``

WORKDIR is a finished work folder; utterances are of its test split, spread evenly. All times are of the
processor and not of the clock, with one thread; where two are compared they take turns, and each is the best
of its rounds. ``--peer`` needs the extra ``benchmarks`` (pocketsphinx): its own acoustic model, the lexicon
and ARPA model of the work folder (phones of the CMU set without stress), its language weight tuned on dev
where several are given.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import kaldi_decoder
import kaldifst
import numpy as np
import torch

from asr_kd.data.audio import load_utterance
from asr_kd.data.manifest import Utterance, spread_evenly
from asr_kd.decode.beam import decode_utterance
from asr_kd.decode.graph import load_graph, with_insertion_penalty
from asr_kd.decode.lattice import decode_lattice
from asr_kd.decode.streaming import StreamingDecoder
from asr_kd.lang.lexicon import read_lexicon
from asr_kd.recogniser import LM_FILE, Recogniser
from asr_kd.score.wer import kaldi_line, score
from asr_kd.stages.base import WorkDir

Scores = list[np.ndarray[Any, Any]]
_DEV_UTTERANCES = 50


def main() -> None:
    """Print one line a measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--utterances", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peer", action="store_true")
    parser.add_argument("--language-weights", type=float, nargs="+", default=[6.5])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    work = WorkDir(arguments.work)
    utterances = spread_evenly(work.utterances("test"), arguments.utterances)
    seconds = sum(utterance.duration for utterance in utterances)
    folder = work.recognisers / "student"
    recogniser = Recogniser.load(folder)
    print(f"{len(utterances)} utterances of test, {seconds:.0f} s, {recogniser.search}")
    scores = [log_p for _, log_p in recogniser.log_likelihoods(utterances)]
    _search(recogniser, scores, seconds, arguments.rounds)
    _whole(recogniser, folder, utterances, seconds, arguments.rounds)
    if arguments.peer:
        _peer(work, utterances, seconds, arguments.language_weights)


def _search(recogniser: Recogniser, scores: Scores, seconds: float, rounds: int) -> None:
    """Compare our searches with the library's loop, on the same graph and scores."""
    search = recogniser.search
    graph = with_insertion_penalty(load_graph(recogniser.graph), search.insertion_penalty)
    scaled = [np.ascontiguousarray(matrix * np.float32(search.acoustic_scale)) for matrix in scores]

    def bare() -> None:
        options = kaldi_decoder.FasterDecoderOptions(beam=search.beam, max_active=search.max_active)
        for matrix in scaled:
            decoder = kaldi_decoder.FasterDecoder(graph.fst, options)
            decoder.decode(kaldi_decoder.DecodableCtc(matrix))
            _, best = decoder.get_best_path()
            kaldifst.get_linear_symbol_sequence(best)

    def ours() -> None:
        for matrix in scores:
            decode_utterance(graph, matrix, search.acoustic_scale, search.beam, search.max_active)

    def streamed() -> None:
        for matrix in scores:
            decoder = StreamingDecoder(graph, search)
            for start in range(0, len(matrix), 10):
                decoder.accept(matrix[start : start + 10])
                decoder.partial_words()
            decoder.finish()

    def lattices() -> None:
        for matrix in scores:
            found = decode_lattice(graph, matrix, search).lattice
            if found is not None:
                found.confidences(found.nbest(10)[0].words)

    times = _best_of({"bare": bare, "ours": ours, "streamed": streamed, "lattices": lattices}, rounds)
    for name, taken in times.items():
        print(f"search, {name}: RTF {taken / seconds:.4f}, {taken / times['bare']:.3f} times the bare loop")


def _best_of(functions: dict[str, Callable[[], None]], rounds: int) -> dict[str, float]:
    best: dict[str, float] = {}
    for _ in range(rounds):
        for name, function in functions.items():
            start = time.process_time()
            function()
            best[name] = min(best.get(name, np.inf), time.process_time() - start)
    return best


def _whole(
    recogniser: Recogniser, folder: Path, utterances: Sequence[Utterance], seconds: float, rounds: int
) -> None:
    """Measure ``transcribe``: audio to words, in this process and as a command with all that it loads."""
    inside = _best_of({"recognise": lambda: _drain(recogniser.recognise(utterances))}, min(rounds, 3))
    print(f"transcribe without start-up: RTF {inside['recognise'] / seconds:.4f}")
    command = [sys.executable, "-m", "asr_kd", "transcribe", str(folder)]
    taken = []
    for options in ([], ["--nbest", "10"], ["--stream"]):
        before = _children_seconds()
        run = [*command, *options, *(utterance.audio for utterance in utterances)]
        done = subprocess.run(
            run, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False
        )
        what = f"asr-kd transcribe {' '.join(options)}".strip()
        if done.returncode:
            print(f"{what}: {done.stderr.splitlines()[-1]}")
            continue
        taken.append(_children_seconds() - before)
        print(f"{what}: RTF {taken[-1] / seconds:.4f}, start-up included ({taken[-1]:.1f} s)")


def _drain(items: Iterator[object]) -> None:
    for _ in items:
        pass


def _children_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _peer(work: WorkDir, utterances: Sequence[Utterance], seconds: float, weights: Sequence[float]) -> None:
    """Print word errors and real-time factor of pocketsphinx and of this project's student."""
    references = {utterance.utt_id: utterance.text or "" for utterance in utterances}
    recogniser = Recogniser.load(work.recognisers / "student")
    start = time.process_time()
    found = {utt_id: hypothesis.text for utt_id, hypothesis in recogniser.recognise(utterances)}
    taken = time.process_time() - start
    print(f"{kaldi_line(score(references, found))} student, RTF {taken / seconds:.4f}")
    with tempfile.TemporaryDirectory() as temporary:
        dictionary = Path(temporary) / "lexicon.dict"
        dictionary.write_text("".join(_dictionary_lines(work.lexicon)), encoding="utf-8")
        make = partial(_pocketsphinx, dictionary, work.graph / LM_FILE)
        weight = _best_weight(work, make, weights)
        decoder = make(weight)
        start = time.process_time()
        found = {utterance.utt_id: _recognise(decoder, utterance) for utterance in utterances}
        taken = time.process_time() - start
    line = kaldi_line(score(references, found))
    print(f"{line} pocketsphinx, language weight {weight:g}, RTF {taken / seconds:.4f}")


def _best_weight(work: WorkDir, make: Callable[[float], Any], weights: Sequence[float]) -> float:
    if len(weights) == 1:
        return weights[0]
    dev = spread_evenly(work.utterances("dev"), _DEV_UTTERANCES)
    references = {utterance.utt_id: utterance.text or "" for utterance in dev}
    rates = {}
    for weight in weights:
        decoder = make(weight)
        rates[weight] = score(references, {each.utt_id: _recognise(decoder, each) for each in dev}).wer
        print(f"pocketsphinx on dev, language weight {weight:g}: {100 * rates[weight]:.1f} % WER")
    return min(rates, key=rates.__getitem__)


def _dictionary_lines(lexicon: Path) -> Iterator[str]:
    for word, pronunciations in read_lexicon(lexicon).pronunciations.items():
        for number, phones in enumerate(pronunciations, start=1):
            yield f"{word}{f'({number})' if number > 1 else ''} {' '.join(phones)}\n"


def _pocketsphinx(dictionary: Path, lm: Path, language_weight: float) -> Any:
    try:
        import pocketsphinx
    except ModuleNotFoundError:
        sys.exit("--peer needs: pip install '.[benchmarks]'")
    with contextlib.redirect_stderr(io.StringIO()):
        return pocketsphinx.Decoder(
            hmm=pocketsphinx.get_model_path("en-us/en-us"),
            dict=str(dictionary),
            lm=str(lm),
            lw=language_weight,
            samprate=16000,
            loglevel="FATAL",
        )


def _recognise(decoder: Any, utterance: Utterance) -> str:
    samples = np.clip(np.rint(load_utterance(utterance).samples * 32768), -32768, 32767).astype("<i2")
    decoder.start_utt()
    decoder.process_raw(samples.tobytes(), full_utt=True)
    decoder.end_utt()
    hypothesis = decoder.hyp()
    return "" if hypothesis is None else str(hypothesis.hypstr)


if __name__ == "__main__":
    main()
