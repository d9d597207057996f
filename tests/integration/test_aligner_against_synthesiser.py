"""The flat-start aligner against the synthesiser, which knows when each phone begins."""

from __future__ import annotations

import numpy as np
import pytest

from asr_kd.align.flat_start import FlatStartConfig
from asr_kd.align.segments import segments
from asr_kd.extraction import FeatureConfig
from asr_kd.pipeline import Pipeline
from asr_kd.stages.align import AlignConfig, AlignStage
from asr_kd.stages.base import WorkDir
from asr_kd.stages.features import FeaturesStage
from asr_kd.stages.labels import read_hmm
from asr_kd.stages.nets import NetConfig
from asr_kd.stages.prepare import CorpusConfig, PrepareStage
from data_prep.synthesis import read_phones

NUM_TRAIN = 200
MFCC = FeatureConfig(name="mfcc", options={"sampling_rate": 16000})
FLAT_START = FlatStartConfig(
    num_iterations=14,
    realign_iterations=(1, 2, 3, 4, 5, 6, 8, 10, 12, 14),
    total_gaussians=400,
    last_mixing_iteration=10,
)


@pytest.fixture(scope="module")
def aligned(tmp_path_factory: pytest.TempPathFactory) -> WorkDir:
    work = WorkDir(tmp_path_factory.mktemp("quickstart"))
    options = {"num_train": NUM_TRAIN, "num_dev": 12, "num_test": 12}
    stages = [
        PrepareStage(CorpusConfig(module="quickstart", options=options), None),
        FeaturesStage([MFCC], None),
        AlignStage(AlignConfig(features=MFCC, flat_start=FLAT_START, num_processes=1), NetConfig(), None),
    ]
    Pipeline(stages, work).run()
    return work


def boundary_errors(work: WorkDir) -> tuple[np.ndarray, int]:
    """Return signed errors of phone starts in seconds, and how many utterances had other pronunciations."""
    hmm = read_hmm(work)
    alignment = work.alignment("train")
    errors: list[float] = []
    other = 0
    for spoken in read_phones(work.corpus / "phones.jsonl"):
        if spoken.utt_id not in alignment:
            continue
        true = [part for part in spoken.segments if part.phone != "SIL"]
        found = [part for part in segments(alignment.get(spoken.utt_id), hmm) if part.phone != "SIL"]
        if [part.phone for part in true] != [part.phone for part in found]:
            other += 1
            continue
        errors += [
            0.01 * after.start_frame - before.start_sample / 16000
            for before, after in zip(true, found, strict=True)
            if before.start_is_known
        ]
    return np.asarray(errors), other


def test_phone_starts_are_where_the_synthesiser_put_them(aligned: WorkDir) -> None:
    errors, other = boundary_errors(aligned)
    milliseconds = 1000 * np.abs(errors)
    print(
        f"{len(errors):,} boundaries: mean |error| {milliseconds.mean():.1f} ms, median "
        f"{np.median(milliseconds):.1f} ms, {100 * (milliseconds <= 20).mean():.1f} % within 20 ms; "
        f"{other} of {NUM_TRAIN} utterances with another pronunciation"
    )
    assert len(errors) > 1000
    assert milliseconds.mean() < 30
    assert np.median(milliseconds) < 15


def test_aligner_mostly_chooses_the_spoken_pronunciation(aligned: WorkDir) -> None:
    _, other = boundary_errors(aligned)
    assert other < NUM_TRAIN / 2
