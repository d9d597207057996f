"""Time, memory and size of a decoding graph of 200,000 words and a pruned 3-gram of a million n-grams.

    python benchmarks/graph_scale.py WORKDIR [--context 3] [--words N] [--ngrams N] [--senones N]

Lexicon and text are made from a fixed seed: words of 2 to 14 phones out of 39, consonants and vowels in turn,
and sentences whose words follow Zipf's law. The model is estimated from the text and pruned
here. Each graph is built in a process of its own. Seconds are of the clock and of the processor.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from senone_tree import synthetic_sums

from asr_kd.align.build_tree import build_tree
from asr_kd.align.phone_questions import phone_questions
from asr_kd.decode.graph import build_graph, load_graph, save_graph
from asr_kd.lang.arpa import read_arpa, write_arpa
from asr_kd.lang.hmm import Hmm, monophone_hmm
from asr_kd.lang.lexicon import Lexicon, read_lexicon, write_lexicon
from asr_kd.lang.ngram import NgramModel, estimate_ngram
from asr_kd.lang.phones import PhoneSet
from asr_kd.lang.prune import prune_ngram
from asr_kd.lang.topology import HmmTopology

_NUM_VOWELS, _NUM_CONSONANTS = 15, 24
_NUM_SUCCESSORS = 20
_SEED = 0


def synthetic_lexicon(num_words: int) -> Lexicon:
    """Return words of 6.5 phones on average; about one in a hundred has a homophone."""
    rng = np.random.default_rng(_SEED)
    kinds = [[f"C{i:02}" for i in range(_NUM_CONSONANTS)], [f"V{i:02}" for i in range(_NUM_VOWELS)]]
    shares = [np.cumsum(1 / np.arange(1, len(kind) + 1) ** 0.7) for kind in kinds]
    entries: dict[str, tuple[tuple[str, ...], ...]] = {}
    for number in range(num_words):
        length = int(np.clip(rng.normal(6.5, 2.0), 2, 14))
        kind = int(rng.random() < 0.3)
        phones = []
        for _ in range(length):
            phones.append(kinds[kind][int(np.searchsorted(shares[kind], rng.random() * shares[kind][-1]))])
            kind = 1 - kind if kind or rng.random() < 0.75 else kind
        entries[f"w{number:06}"] = (tuple(phones),)
    return Lexicon(entries)


def synthetic_text(words: tuple[str, ...], num_tokens: int) -> Iterator[list[str]]:
    """Yield sentences; after a word comes one of its own successors or any word, frequent ones first."""
    rng = np.random.default_rng(_SEED + 1)
    cumulative = np.cumsum(1 / np.arange(1, len(words) + 1))
    cumulative /= cumulative[-1]
    made = 0
    while made < num_tokens:
        length = int(rng.integers(5, 30))
        free = np.searchsorted(cumulative, rng.random(length))
        chosen = [int(free[0])]
        for position in range(1, length):
            successor = (chosen[-1] * 7919 + int(rng.zipf(1.6)) % _NUM_SUCCESSORS * 104729) % len(words)
            # Squared, so that a word's own successors are frequent words as a rule.
            own = int(len(words) * (successor / len(words)) ** 4)
            chosen.append(own if rng.random() < 0.6 else int(free[position]))
        made += length
        yield [words[index] for index in chosen]


def make_inputs(folder: Path, num_words: int, num_ngrams: int) -> None:
    """Write the lexicon and a pruned model of about so many n-grams of order 2 and 3."""
    lexicon = synthetic_lexicon(num_words)
    write_lexicon(folder / "lexicon.txt", lexicon)
    start = time.perf_counter()
    full = estimate_ngram(synthetic_text(lexicon.words, 2 * num_ngrams), lexicon.words, 3, "kneser_ney")
    estimated = time.perf_counter()
    threshold = 1e-9
    pruned = full
    while _num_longer(pruned) > num_ngrams:
        pruned = prune_ngram(full, threshold)
        threshold *= 1.5
    write_arpa(folder / "lm.arpa", pruned)
    sizes = [", ".join(f"{len(each):,}" for each in model.log_probs) for model in (full, pruned)]
    print(
        f"3-gram of {sizes[0]} n-grams estimated in {estimated - start:.0f} s, pruned to {sizes[1]} n-grams"
    )


def _num_longer(model: NgramModel) -> int:
    return sum(len(log_probs) for log_probs in model.log_probs[1:])


def model_with_tree(phone_set: PhoneSet, num_senones: int) -> Hmm:
    """Return a model whose tree is grown on synthetic statistics of 30,000 triphones."""
    sums = synthetic_sums(30_000, num_phones=len(phone_set))
    floor = np.full(sums.first.shape[1], 0.01)
    questions = phone_questions(sums, phone_set, floor)
    topology = HmmTopology()
    tree = build_tree(sums, phone_set, topology, questions, num_senones, 100.0, floor)
    return Hmm(phone_set, topology, tree)


@contextmanager
def _timed(seconds: dict[str, list[float]], what: str) -> Iterator[None]:
    start, busy = time.perf_counter(), time.process_time()
    yield
    seconds[what] = [round(time.perf_counter() - start, 1), round(time.process_time() - busy, 1)]


def build(folder: Path, context: int, num_senones: int) -> None:
    """Build, write and read back one graph; print what it took as JSON."""
    seconds: dict[str, list[float]] = {}
    with _timed(seconds, "read lexicon and ARPA"):
        lexicon = read_lexicon(folder / "lexicon.txt")
        lm = read_arpa(folder / "lm.arpa", lexicon.words).model
    phone_set = PhoneSet.from_lexicon(lexicon)
    hmm = monophone_hmm(phone_set) if context == 1 else model_with_tree(phone_set, num_senones)
    with _timed(seconds, "build"):
        graph = build_graph(lexicon, hmm, lm)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    num_arcs = sum(graph.fst.num_arcs(state) for state in range(graph.fst.num_states))
    with _timed(seconds, "write"):
        save_graph(folder / f"graph-{context}", graph)
    with _timed(seconds, "read back"):
        load_graph(folder / f"graph-{context}", graph.fingerprint)
    facts = {
        "senones": hmm.num_pdfs,
        "seconds": seconds,
        "peak_gib": round(peak, 2),
        "states": graph.fst.num_states,
        "arcs": num_arcs,
        "bytes": (folder / f"graph-{context}" / "HCLG.fst").stat().st_size,
    }
    print(json.dumps(facts))


def main() -> None:
    """Make the inputs where they are missing, then build the graph in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--context", type=int, choices=(1, 3), default=1)
    parser.add_argument("--words", type=int, default=200_000)
    parser.add_argument("--ngrams", type=int, default=1_000_000)
    parser.add_argument("--senones", type=int, default=4000)
    parser.add_argument("--in-this-process", action="store_true")
    arguments = parser.parse_args()
    if arguments.in_this_process:
        build(arguments.folder, arguments.context, arguments.senones)
        return
    if not (arguments.folder / "lm.arpa").is_file():
        arguments.folder.mkdir(parents=True, exist_ok=True)
        make_inputs(arguments.folder, arguments.words, arguments.ngrams)
    command = [sys.executable, __file__, *sys.argv[1:], "--in-this-process"]
    subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
