"""The aligner's phone boundaries against the synthesiser's: monophones, senones, senones with LDA+MLLT.

    python benchmarks/alignment.py [--utterances 1500] [--senones 400] [--gaussians 5000]

The corpus is that of the recipe quickstart: 40 voices and more, speed and pitch varied, noise added.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from asr_kd.align.flat_start import FlatStartConfig
from asr_kd.align.senones import SenoneConfig
from asr_kd.stages.base import WorkDir
from tests.support.phone_boundaries import align_quickstart, boundary_errors


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--utterances", type=int, default=1500)
    parser.add_argument("--senones", type=int, default=400)
    parser.add_argument("--gaussians", type=int, default=5000)
    parser.add_argument("--processes", type=int, default=1)
    arguments = parser.parse_args()
    senones = SenoneConfig(num_leaves=arguments.senones, total_gaussians=arguments.gaussians)
    turned = senones.model_copy(update={"transform": "lda_mllt"})
    tied = f"{arguments.senones} senones"
    for name, config in (("monophones", None), (tied, senones), (f"{tied}, LDA+MLLT", turned)):
        start = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            work = WorkDir(Path(folder))
            align_quickstart(work, arguments.utterances, FlatStartConfig(), config, arguments.processes)
            print(
                f"{name}, {time.perf_counter() - start:.0f} s: {boundary_errors(work).summary()}", flush=True
            )


if __name__ == "__main__":
    main()
