"""Stage 9: WER, frame accuracy, their intervals and the share of the ensemble's gain that is kept."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from asr_kd.am.checkpoint import read_card
from asr_kd.atomic import write_text
from asr_kd.distill.apart import merging_refusal
from asr_kd.distill.shard_header import HEADER_FILE, ShardSetHeader, parse_header
from asr_kd.distill.sparse import code_text
from asr_kd.distill.teacher_gain import teacher_gain
from asr_kd.errors import StageError
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
    write_results,
)
from asr_kd.report.rows import SystemScores, result_row, result_rows
from asr_kd.report.tables import results_markdown
from asr_kd.score.significance import Bootstrap
from asr_kd.score.text_files import read_text_file
from asr_kd.score.wer import WerResult, alignment_text, score, worst_first
from asr_kd.score.word_classes import read_word_classes
from asr_kd.stages.base import Settings, Stage, WorkDir, require
from asr_kd.stages.decode import BASELINE, CONTROL, ENSEMBLE, MIXTURES, STUDENT, SYSTEM_FILE
from asr_kd.stages.frame_tally import read_agreement, read_calibration, read_counts, read_phone_confusions
from asr_kd.stages.labels import alignment_facts
from asr_kd.stages.provenance import with_run_facts

RESULTS_FILE = "results.json"
MARKDOWN_FILE = "RESULTS.md"

_SINGLE_NETS = (BASELINE, CONTROL, STUDENT)
_NUM_CONFUSIONS = 15
_GAIN_SPLIT = "dev"
_GAIN_SUBSETS = 10


class ScoreConfig(Settings):
    """How intervals are made.

    Attributes:
        num_resamples: Of the bootstrap.
        seed: Of the bootstrap.
        level: Of the intervals.
    """

    num_resamples: int = Field(10_000, ge=100)
    seed: int = Field(0, ge=0)
    level: float = Field(0.95, gt=0, lt=1)


class ScoreStage(Stage):
    """Writes ``results.json``, ``RESULTS.md`` and ``score/``.

    Args:
        config: Intervals.
        splits: What was decoded.
        loss: Weights of the student's loss, for the record.
        provenance: Of this run.
    """

    name = "score"
    needs = ("prepare", "align", "decode")

    def __init__(
        self, config: ScoreConfig, splits: Sequence[str], loss: dict[str, float], provenance: Provenance
    ) -> None:
        self.config = config
        self.splits = splits
        self.loss = loss
        self.provenance = provenance

    def settings(self) -> dict[str, Any]:
        """Return how intervals are made."""
        return self.config.model_dump(mode="json")

    def outputs(self, work: WorkDir) -> list[Path]:
        """Return results and listings."""
        return [work.root / RESULTS_FILE, work.root / MARKDOWN_FILE, work.score]

    def run(self, work: WorkDir) -> dict[str, Any]:
        """Score every system on dev and test."""
        systems = decoded_systems(work)
        rows = []
        for split in self.splits:
            scores = {group: system_scores(work, group, names, split) for group, names in systems.items()}
            for group, measured in scores.items():
                _write_listings(work, group, systems[group], measured, split)
            bootstrap = Bootstrap(
                self.config.num_resamples, self.config.seed, self.config.level, speakers(work, split)
            )
            if MIXTURES in scores:
                rows.append(result_row(scores[MIXTURES], split, bootstrap))
            compared = [scores[group] for group in scores if group not in (MIXTURES, BASELINE, ENSEMBLE)]
            rows += result_rows(scores[BASELINE], scores[ENSEMBLE], compared, split, bootstrap)
        results = Results(
            provenance=with_run_facts(self.provenance, work, _seeds(work, systems)),
            setup=_setup(work, self.loss, len(systems[ENSEMBLE])),
            rows=tuple(rows),
            tuning=tuple(_tuning(work, group) for group in systems),
            curves=_curves(work, systems),
            calibration=tuple(_calibration(work, systems, self.splits)),
            confusions=tuple(_confusions(work, systems, self.splits)),
            agreement=tuple(_agreement(work, systems[ENSEMBLE], self.splits)),
            teacher_gain=tuple(_teacher_gain(work)),
        )
        write_results(work.root / RESULTS_FILE, results)
        write_text(work.root / MARKDOWN_FILE, results_markdown(results))
        return {}


def speakers(work: WorkDir, split: str) -> dict[str, str]:
    """Return the speaker of each utterance of a split."""
    return {utterance.utt_id: utterance.speaker for utterance in work.utterances(split)}


def word_score(work: WorkDir, name: str, split: str) -> WerResult:
    """Return the word errors of one decoded system."""
    classes = read_word_classes(work.score_words)
    references = {utterance.utt_id: utterance.text or "" for utterance in work.utterances(split)}
    hypotheses = read_text_file(work.decode / name / f"{split}.txt")
    return score(classes.fold(references), classes.fold(hypotheses))


def system_scores(work: WorkDir, group: str, names: list[str], split: str) -> SystemScores:
    """Return what was measured of all seeds of a system."""
    facts = [_facts(work, name) for name in names]
    return SystemScores(
        system=group,
        seeds=tuple(seed for name in names for seed in model_seeds(work, name)),
        words=[word_score(work, name, split) for name in names],
        frames=[read_counts(work, name, split) for name in names],
        num_parameters=facts[0]["num_parameters"],
        real_time_factor=sum(fact["real_time_factor"] for fact in facts) / len(facts),
    )


def decoded_systems(work: WorkDir) -> dict[str, list[str]]:
    """Return the decoded seeds of every system of a work folder, in the order of the table.

    Raises:
        StageError: When nothing was decoded there.
    """
    path = require(work.decode / "systems.json", "decode")
    systems: dict[str, list[str]] = json.loads(path.read_text(encoding="utf-8"))
    return systems


def read_scores(work: WorkDir, group: str, split: str) -> SystemScores:
    """Return what was measured of a system (baseline, control, ensemble, student) in a finished work folder.

    Raises:
        StageError: When nothing was decoded there, or not this system or split.
    """
    systems = decoded_systems(work)
    if group not in systems:
        raise StageError(f'no system "{group}"', where=work.root, expected=f"one of {', '.join(systems)}")
    if not (work.decode / systems[group][0] / f"{split}.txt").is_file():
        raise StageError(f'split "{split}" was not decoded', where=work.root, expected="dev or test")
    return system_scores(work, group, systems[group], split)


def model_seeds(work: WorkDir, name: str) -> list[int]:
    """Return the seeds of the nets that make up a decoded system."""
    facts = _facts(work, name)
    return [read_card(work.models / model).provenance["seed"] for model in facts["models"]]


def _seeds(work: WorkDir, systems: dict[str, list[str]]) -> dict[str, int]:
    single = [group for group in systems if group not in (MIXTURES, ENSEMBLE)]
    return {name: model_seeds(work, name)[0] for group in single for name in systems[group]}


def _write_listings(work: WorkDir, group: str, names: list[str], measured: SystemScores, split: str) -> None:
    """Write each system's utterances with their alignments, worst first."""
    for name, result in zip(names, measured.words, strict=True):
        text = "\n\n".join(alignment_text(utterance) for utterance in worst_first(result))
        write_text(work.score / group / f"{name}-{split}.txt", text + "\n")


def _setup(work: WorkDir, loss: dict[str, float], num_ensembles: int) -> Setup:
    header = _header(work)
    corpus = json.loads((work.corpus / "corpus.json").read_text(encoding="utf-8"))
    alignment = alignment_facts(work)["splits"]
    return Setup(
        num_teachers=len(header.teachers),
        averaging=header.averaging,
        temperature=header.temperature,
        soft_weight=loss["soft_weight"],
        hard_weight=loss["hard_weight"],
        posterior_code=code_text(header.code),
        bytes_per_frame=header.bytes_per_frame()["targets"],
        num_senones=header.num_senones,
        num_train_frames=alignment["train"]["frames"],
        num_utterances={split: counts["utterances"] for split, counts in corpus["splits"].items()},
        alignment_failed_share=alignment["train"]["failed"] / alignment["train"]["utterances"],
        oov_share=corpus["oov"]["test"]["share_not_in_train_text"],
    )


def _header(work: WorkDir) -> ShardSetHeader:
    path = work.shards / HEADER_FILE
    return parse_header(path.read_bytes(), path)


def _tuning(work: WorkDir, group: str) -> TuningSurface:
    tuned = json.loads((work.decode / f"tuning-{group}.json").read_text(encoding="utf-8"))
    points = {
        (point["acoustic_scale"], point["insertion_penalty"]): point["wer"] for point in tuned["points"]
    }
    scales = tuple(sorted({scale for scale, _ in points}))
    penalties = tuple(sorted({penalty for _, penalty in points}))
    chosen = tuned["chosen"]
    return TuningSurface(
        system=group,
        acoustic_scales=scales,
        insertion_penalties=penalties,
        wer=tuple(tuple(points.get((scale, penalty)) for penalty in penalties) for scale in scales),
        chosen=(chosen["acoustic_scale"], chosen["insertion_penalty"]),
    )


def _calibration(
    work: WorkDir, systems: Mapping[str, list[str]], splits: Sequence[str]
) -> Iterator[CalibrationCurve]:
    for split in splits:
        for group, names in systems.items():
            counted = read_calibration(work, names, split)
            if counted is None:
                continue
            filled = np.flatnonzero(counted.num_frames)
            num_frames = counted.num_frames[filled]
            yield CalibrationCurve(
                system=group,
                split=split,
                confidence=tuple((counted.confidence[filled] / num_frames).tolist()),
                accuracy=tuple((counted.num_correct[filled] / num_frames).tolist()),
                num_frames=tuple(num_frames.tolist()),
                expected_error=counted.expected_error,
            )


def _confusions(
    work: WorkDir, systems: Mapping[str, list[str]], splits: Sequence[str]
) -> Iterator[PhoneConfusion]:
    """Yield the phones that the systems confuse most, on average."""
    for split in splits:
        shares = {group: read_phone_confusions(work, names, split) for group, names in systems.items()}
        pairs = {pair for found in shares.values() for pair in found}
        worst = sorted(pairs, key=lambda pair: (-sum(each.get(pair, 0.0) for each in shares.values()), pair))
        for aligned, found in worst[:_NUM_CONFUSIONS]:
            by_system = {group: each.get((aligned, found), 0.0) for group, each in shares.items()}
            yield PhoneConfusion(split=split, aligned=aligned, found=found, share=by_system)


def _agreement(work: WorkDir, names: list[str], splits: Sequence[str]) -> Iterator[TeacherAgreement]:
    (name,) = names  # there is one ensemble
    for split in splits:
        counted = read_agreement(work, name, split)
        if counted is None:
            continue
        num_frames = max(1, int(counted.by_right.sum()))
        facts = _facts(work, name)
        yield TeacherAgreement(
            split=split,
            nets=tuple(facts["models"]),
            same=tuple(map(tuple, (counted.same / num_frames).tolist())),
            by_right=tuple((counted.by_right / num_frames).tolist()),
        )


def _teacher_gain(work: WorkDir) -> Iterator[GainCurve]:
    """Yield the gain against the number of teachers, where the shard set can tell it."""
    if merging_refusal(_header(work).stored) is not None:
        return
    rows = teacher_gain(work.shards, _GAIN_SPLIT, _GAIN_SUBSETS).rows
    yield GainCurve(
        split=_GAIN_SPLIT,
        num_teachers=tuple(row.num_teachers for row in rows),
        accuracy=tuple(row.accuracy for row in rows),
        sd=tuple(row.sd for row in rows),
    )


def _facts(work: WorkDir, name: str) -> dict[str, Any]:
    """Return what decoding found out about a system."""
    facts: dict[str, Any] = json.loads((work.decode / name / SYSTEM_FILE).read_text(encoding="utf-8"))
    return facts


def _curves(work: WorkDir, systems: dict[str, list[str]]) -> tuple[TrainingCurve, ...]:
    curves = []
    for group in _SINGLE_NETS:
        for name in systems.get(group, []):
            facts = _facts(work, name)
            epochs = read_card(work.models / facts["models"][0]).provenance["epochs"]
            curves.append(
                TrainingCurve(
                    name=name,
                    system=group,
                    epochs=tuple(row["epoch"] for row in epochs),
                    train_loss=tuple(row["means"]["loss"] for row in epochs),
                    dev_loss=tuple(row["dev_cross_entropy"] for row in epochs),
                    dev_frame_accuracy=tuple(row["dev_accuracy"] for row in epochs),
                )
            )
    return tuple(curves)
