"""A small finished run, with numbers that are easy to follow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from asr_kd.report.results import (
    CalibrationCurve,
    GainCurve,
    PhoneConfusion,
    Provenance,
    Results,
    Setup,
    TeacherAgreement,
    TrainingCurve,
    TuningSurface,
)
from asr_kd.report.rows import SystemScores, result_rows
from asr_kd.score.frame_accuracy import FrameCounts
from asr_kd.score.significance import Bootstrap
from asr_kd.score.wer import WerResult, score

NUM_UTTERANCES = 100


@dataclass(frozen=True)
class Run:
    """Results and the scores that they came from."""

    results: Results
    words: Mapping[str, WerResult]
    speakers: Mapping[str, str]


def words_scored(num_wrong: int) -> WerResult:
    """Score 100 utterances of 10 words, one word wrong in each of the first ``num_wrong``."""
    reference = "a b c d e f g h i j"
    references = {f"u{index:03}": reference for index in range(NUM_UTTERANCES)}
    hypotheses = {
        utt_id: "X" + reference[1:] if index < num_wrong else reference
        for index, utt_id in enumerate(references)
    }
    return score(references, hypotheses)


def frames_scored(accuracy: float) -> dict[str, FrameCounts]:
    """Return 100 utterances of 1000 frames, all with the same accuracy."""
    return {f"u{index:03}": FrameCounts(round(1000 * accuracy), 1000) for index in range(NUM_UTTERANCES)}


@pytest.fixture(scope="session")
def run() -> Run:
    """Frame accuracies of Hinton et al. 2015; 60, 40 and 45 errors in 1000 words."""
    words = {"baseline": words_scored(60), "ensemble": words_scored(40), "student": words_scored(45)}
    baseline = SystemScores(
        "baseline",
        seeds=(0, 1, 2),
        words=[words_scored(50), words["baseline"], words_scored(70)],
        frames=[frames_scored(0.579), frames_scored(0.589), frames_scored(0.599)],
        num_parameters=1_200_000,
        real_time_factor=0.034,
    )
    ensemble = SystemScores(
        "ensemble", (0, 1, 2), [words["ensemble"]], [frames_scored(0.611)], 3_600_000, 0.1
    )
    student = SystemScores("student", (7,), [words["student"]], [frames_scored(0.608)], 1_200_000, 0.034)
    results = Results(
        provenance=Provenance(
            recipe="quickstart",
            profile="smoke",
            command="asr-kd run quickstart --profile smoke",
            seeds={"teachers": 0, "student": 7},
            commit="0123456789abcdef",
            machine="2 cores, 8 GiB",
            date="2026-11-24",
            stage_seconds={"prepare": 61.0, "decode": 3661.0},
            stage_bytes={"prepare": 310_000, "decode": 1_234_000_000},
            peak_memory_bytes=3 * 2**29,
        ),
        setup=Setup(num_teachers=3, temperature=2.0, oov_share=0.057, extra={"beam": "13"}),
        rows=tuple(result_rows(baseline, ensemble, [student], "test", Bootstrap(num_resamples=2000))),
        tuning=(
            TuningSurface(
                system="student",
                acoustic_scales=(0.1, 0.2),
                insertion_penalties=(-1.0, 0.0, 1.0),
                wer=((0.06, 0.05, 0.07), (0.08, 0.07, 0.09)),
                chosen=(0.1, 0.0),
            ),
        ),
        curves=(
            TrainingCurve(name="t0", system="teacher", epochs=(1, 2), dev_loss=(3.0, 2.5)),
            TrainingCurve(
                name="student",
                system="student",
                epochs=(1, 2),
                dev_frame_accuracy=(0.5, 0.6),
                train_loss=(4, 3),
            ),
        ),
    )
    results = results.model_copy(
        update={
            "calibration": (
                CalibrationCurve(
                    system="student",
                    split="test",
                    confidence=(0.3, 0.9),
                    accuracy=(0.4, 0.8),
                    num_frames=(10, 30),
                    expected_error=0.1,
                ),
            ),
            "agreement": (
                TeacherAgreement(
                    split="test",
                    nets=("teacher-01", "teacher-02"),
                    same=((1.0, 0.7), (0.7, 1.0)),
                    by_right=(0.3, 0.2, 0.5),
                ),
            ),
            "teacher_gain": (
                GainCurve(split="dev", num_teachers=(1, 2), accuracy=(0.59, 0.61), sd=(0.01, 0.0)),
            ),
            "confusions": (
                PhoneConfusion(
                    split="test", aligned="IH", found="IY", share={"ensemble": 0.01, "student": 0.02}
                ),
                PhoneConfusion(
                    split="dev", aligned="Z", found="S", share={"ensemble": 0.03, "student": 0.02}
                ),
            ),
        }
    )
    speakers = {utt.utt_id: f"speaker{index // 10}" for index, utt in enumerate(words["student"].utterances)}
    return Run(results, words, speakers)
