"""An alignment of the quickstart corpus against the synthesiser, which knows when each phone begins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from asr_kd.align.flat_start import FlatStartConfig
from asr_kd.align.segments import segments
from asr_kd.align.senones import SenoneConfig
from asr_kd.extraction import FeatureConfig
from asr_kd.pipeline import Pipeline
from asr_kd.stages.align import AlignConfig, AlignStage
from asr_kd.stages.base import WorkDir
from asr_kd.stages.features import FeaturesStage
from asr_kd.stages.labels import read_hmm
from asr_kd.stages.nets import NetConfig
from asr_kd.stages.prepare import CorpusConfig, PrepareStage
from data_prep.synthesis import read_phones

MFCC = FeatureConfig(name="mfcc", options={"sampling_rate": 16000})
_FRAME_SHIFT, _SAMPLING_RATE = 0.01, 16000


@dataclass(frozen=True)
class BoundaryErrors:
    """Where the aligner begins phones, minus where the synthesiser did.

    Attributes:
        seconds: Of the phones whose true start is known ``[N]``.
        num_other: Utterances for which the aligner chose another pronunciation; they are left out.
        num_utterances: All that were aligned.
    """

    seconds: np.ndarray
    num_other: int
    num_utterances: int

    def summary(self) -> str:
        """Return mean, median, bias and shares as a line."""
        size = 1000 * np.abs(self.seconds)
        within = ", ".join(
            f"{100 * (size <= limit).mean():.1f} % within {limit} ms" for limit in (10, 20, 50)
        )
        return (
            f"{len(size):,} boundaries: mean |error| {size.mean():.1f} ms, median {np.median(size):.1f} ms, "
            f"mean error {1000 * self.seconds.mean():+.1f} ms; {within}; {self.num_other} of "
            f"{self.num_utterances} utterances with another pronunciation"
        )


def align_quickstart(
    work: WorkDir,
    num_train: int,
    flat_start: FlatStartConfig,
    senones: SenoneConfig | None = None,
    num_processes: int = 1,
) -> None:
    """Synthesise the corpus, with ``num_train`` utterances to learn from, and align it."""
    options = {"num_train": num_train, "num_dev": 12, "num_test": 12}
    config = AlignConfig(features=MFCC, flat_start=flat_start, senones=senones, num_processes=num_processes)
    stages = [
        PrepareStage(CorpusConfig(module="quickstart", options=options), None),
        FeaturesStage([MFCC], None),
        AlignStage(config, NetConfig(), None),
    ]
    Pipeline(stages, work).run()


def boundary_errors(work: WorkDir) -> BoundaryErrors:
    """Compare the aligned training utterances with what the synthesiser said."""
    hmm = read_hmm(work)
    alignment = work.alignment("train")
    errors: list[float] = []
    num_other = num_utterances = 0
    for spoken in read_phones(work.corpus / "phones.jsonl"):
        if spoken.utt_id not in alignment:
            continue
        num_utterances += 1
        true = [part for part in spoken.segments if part.phone != "SIL"]
        found = [part for part in segments(alignment.get(spoken.utt_id), hmm) if part.phone != "SIL"]
        if [part.phone for part in true] != [part.phone for part in found]:
            num_other += 1
            continue
        errors += [
            _FRAME_SHIFT * after.start_frame - before.start_sample / _SAMPLING_RATE
            for before, after in zip(true, found, strict=True)
            if before.start_is_known
        ]
    return BoundaryErrors(np.asarray(errors), num_other, num_utterances)
