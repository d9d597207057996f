"""Time and memory of a tree of 14,000 senones on synthetic statistics of 100,000 triphones.

    python benchmarks/senone_tree.py [--triphones 100000] [--senones 14000]

A triphone's frames have the mean of its phone, moved by what its neighbours share with like phones.
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np
from peak_memory import peak_mib

from asr_kd.align.build_tree import build_tree
from asr_kd.align.phone_questions import phone_questions
from asr_kd.align.triphone_statistics import TriphoneSums
from asr_kd.lang.phones import PhoneSet
from asr_kd.lang.topology import HmmTopology

_NUM_PHONES = 60
_NUM_STATES = 3
_DIM = 39
_NUM_KINDS = 12
_FRAMES_PER_STATE = 400


def synthetic_sums(num_triphones: int, seed: int = 0, num_phones: int = _NUM_PHONES) -> TriphoneSums:
    """Return sums of three states of random triphones, exact for Gaussian frames of variance 1."""
    rng = np.random.default_rng(seed)
    possible = (num_phones - 1) * (num_phones + 1) ** 2
    chosen = np.sort(rng.choice(possible, num_triphones, replace=False))
    phone, context = np.divmod(chosen, (num_phones + 1) ** 2)
    left, right = np.divmod(context, num_phones + 1)
    keys = np.repeat(np.stack([left, phone + 2, right, 0 * left], axis=1), _NUM_STATES, axis=0)
    keys[:, 3] = np.tile(np.arange(_NUM_STATES), num_triphones)
    kinds = rng.integers(0, _NUM_KINDS, num_phones + 1)
    own = rng.normal(0, 2, (num_phones + 1, _NUM_STATES, _DIM))
    beside = rng.normal(0, 0.7, (2, _NUM_KINDS, _NUM_STATES, _DIM))
    state = keys[:, 3]
    mean = own[keys[:, 1], state] + beside[0, kinds[keys[:, 0]], state] + beside[1, kinds[keys[:, 2]], state]
    mean += rng.normal(0, 0.3, mean.shape)
    counts = np.maximum(1.0, rng.exponential(_FRAMES_PER_STATE, len(keys)).round())
    return TriphoneSums(
        keys.astype(np.int32), counts, counts[:, None] * mean, counts[:, None] * (mean**2 + 1.0)
    )


def main() -> None:
    """Print seconds, peak memory and size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--triphones", type=int, default=100_000)
    parser.add_argument("--senones", type=int, default=14_000)
    arguments = parser.parse_args()
    sums = synthetic_sums(arguments.triphones)
    before = peak_mib()
    phone_set = PhoneSet(("SIL", *(f"P{number:02}" for number in range(1, _NUM_PHONES))))
    floor = np.full(_DIM, 0.01)
    start = time.perf_counter()
    questions = phone_questions(sums, phone_set, floor)
    clustered = time.perf_counter()
    tree = build_tree(sums, phone_set, HmmTopology(), questions, arguments.senones, 100.0, floor)
    built = time.perf_counter()
    text = json.dumps(tree.to_json())
    print(
        f"{sums.num_triphones:,} triphones, {len(sums):,} states, {_DIM} dimensions: "
        f"{len(questions)} questions in {clustered - start:.1f} s, "
        f"{tree.num_pdfs:,} senones in {built - clustered:.1f} s; "
        f"peak memory {peak_mib():,.0f} MiB ({before:,.0f} MiB before), JSON {len(text) / 1e6:.1f} MB"
    )


if __name__ == "__main__":
    main()
