"""Options beside the default path: realignment, teachers that differ, other means and codes, a user's LM."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from asr_kd.am.checkpoint import load_model, read_card
from asr_kd.am.registry import ArchitectureConfig
from asr_kd.config import load_recipe
from asr_kd.data.augment import view_labels
from asr_kd.data.folds import Folds
from asr_kd.data.manifest import is_drawn
from asr_kd.distill.ensemble import ensemble_log_posteriors
from asr_kd.distill.shard_set import open_shard_set
from asr_kd.distill.targets import dense_posteriors
from asr_kd.errors import ConfigError, ModelError, StageError
from asr_kd.pipeline import Pipeline
from asr_kd.recogniser import System, SystemCard, posterior_stream
from asr_kd.report.results import read_results
from asr_kd.stages.base import WorkDir
from asr_kd.stages.labels import alignment_facts
from asr_kd.stages.nets import hard_source
from asr_kd.stages.student_training import StudentPlan, train_student
from asr_kd.train.parallel import run_side_by_side
from tests.support.tones import tones_pipeline

BASE = ("corpus.options.utterances=6", "train.epochs=2", "student.train.epochs=2")
DIFFERENT_TEACHERS = (
    "teachers.variants=[{}, {frontend: {name: mfcc, options: {sampling_rate: 8000}}, "
    "model: {options: {units: 24}}, window: {left: 3, right: 3}, data_share: 0.7}]"
)
STRANGERS: dict[str, dict[str, object]] = {
    "another senone tree": {"tree_fingerprint": "another"},
    "another context window": {"window_left": 10, "window_right": 15},
    "other features": {"frontend": {"fingerprint": "another"}},
}
"""What makes a net of the right shape no beginning for a student."""


def _pipeline(work: Path, *overrides: str) -> Pipeline:
    return tones_pipeline(work.parent / f"{work.name}-recipe", work, *BASE, *overrides)


@pytest.fixture(scope="module")
def aligned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    work = tmp_path_factory.mktemp("options") / "work"
    _pipeline(work, DIFFERENT_TEACHERS).run(to_stage="align")
    return work


@pytest.fixture
def work(aligned: Path, tmp_path: Path) -> Path:
    shutil.copytree(aligned, tmp_path / "work")
    return tmp_path / "work"


def test_nets_realign(work: Path) -> None:
    before = alignment_facts(WorkDir(work))
    pipeline = _pipeline(work, DIFFERENT_TEACHERS, "align.realign=2")
    pipeline.run("align", "align", force=True)
    # The second net learnt what the first one aligned.
    cards = [read_card(work / "models" / name) for name in ("aligner", "aligner-2")]
    assert cards[0].provenance["trained_as"] != cards[1].provenance["trained_as"]
    after = alignment_facts(WorkDir(work))
    assert after["splits"]["train"]["aligned"] == before["splits"]["train"]["aligned"] == 24
    assert after["fingerprint"] != before["fingerprint"]
    assert sum(after["pdf_counts"]) == sum(before["pdf_counts"])


def test_teachers_trained_together_are_those_trained_by_themselves(
    work: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(work, tmp_path / "other")
    together = ("teachers.count=3", "train.together=true")
    _pipeline(work, *together).run("teachers", "teachers")
    _pipeline(tmp_path / "other", "teachers.count=3").run("teachers", "teachers")
    models = {
        folder: [load_model(folder / "models" / f"teacher-0{number}") for number in (1, 2, 3)]
        for folder in (work, tmp_path / "other")
    }
    for joint, alone in zip(*models.values(), strict=True):
        assert joint.card.provenance["trained_as"] == alone.card.provenance["trained_as"]
        for a, b in zip(joint.net.parameters(), alone.net.parameters(), strict=True):
            assert torch.allclose(a, b, atol=0.01)
    first, second, _ = models[work]
    assert not torch.allclose(first.net.output.weight, second.net.output.weight, atol=0.01)
    assert "trained by itself" not in capfd.readouterr().err
    _pipeline(tmp_path / "other", "teachers.count=4", "train.together=true").run("teachers", "teachers")
    assert "teacher-04: trained by itself" in capfd.readouterr().err


def test_teachers_that_differ_make_one_geometric_ensemble(work: Path) -> None:
    overrides = (DIFFERENT_TEACHERS, "ensemble.averaging=geometric", "ensemble.code={name: dense}")
    _pipeline(work, *overrides).run()
    place = WorkDir(work)
    assert read_card(place.models / "teacher-02").frontend.name == "mfcc"
    header = open_shard_set(place.shards).header
    assert header.averaging == "geometric"
    assert header.frontend["name"] == "fbank"
    assert read_results(work / "results.json").row("student", "test").wer is not None


def test_weighted_ensemble_that_ignores_a_teacher_is_the_other_one(work: Path) -> None:
    weighted = ("ensemble.averaging=weighted", "ensemble.weights=[1.0, 0.0]", "ensemble.temperature=1")
    overrides = (DIFFERENT_TEACHERS, *weighted, "ensemble.code={name: dense}")
    _pipeline(work, *overrides).run(to_stage="ensemble")
    place = WorkDir(work)
    shard_set = open_shard_set(place.shards)
    first = System.load(SystemCard(models=("teacher-01",)), place.models)
    key = next(iter(first.frontends()))
    stored = {u.utt_id: u for shard in shard_set.shards(["dev"]) for u in shard_set.read(shard)}
    for utt_id, log_p in posterior_stream(first, {key: place.feature_store(key, "dev")}, stored):
        soft = shard_set.code.decode(stored[utt_id].targets, len(log_p))
        kept = dense_posteriors(soft, log_p.shape[1]).numpy()
        np.testing.assert_allclose(kept, np.exp(log_p), atol=2e-3)


def test_teachers_weighted_by_their_accuracy_on_dev(work: Path) -> None:
    weighted = ("ensemble.averaging=weighted", "ensemble.weights=dev_accuracy")
    _pipeline(work, DIFFERENT_TEACHERS, *weighted).run(to_stage="ensemble")
    place = WorkDir(work)
    names = ("teacher-01", "teacher-02")
    cards = [read_card(place.models / name) for name in names]
    accuracies = tuple(card.provenance["dev_frame_accuracy"] for card in cards)
    assert open_shard_set(place.shards).header.weights == accuracies
    system = System.load(SystemCard(models=names, averaging="weighted", weights="dev_accuracy"), place.models)
    assert system.weights == accuracies
    card = json.loads((place.models / "teacher-02" / "model.json").read_text())
    del card["provenance"]["dev_frame_accuracy"]
    (place.models / "teacher-02" / "model.json").write_text(json.dumps(card))
    with pytest.raises(ModelError, match="teacher-02: its card does not tell the accuracy on dev"):
        System.load(SystemCard(models=names, averaging="weighted", weights="dev_accuracy"), place.models)


def test_users_arpa_file_is_decoded_with(work: Path, tmp_path: Path) -> None:
    _pipeline(work, DIFFERENT_TEACHERS).run()
    # A grammar of one word: whatever was said, nothing else can be recognised.
    arpa = tmp_path / "one.arpa"
    arpa.write_text("\\data\\\nngram 1=3\n\n\\1-grams:\n-0.3\t</s>\n-99\t<s>\n-0.3\tboca\n\n\\end\\\n")
    overrides = (DIFFERENT_TEACHERS, f"language_model.arpa={arpa}")
    with pytest.raises(StageError, match=r"language_model.arpa was None, is"):
        _pipeline(work, *overrides).run()
    _pipeline(work, *overrides).run("decode", force=True)
    texts = (work / "decode" / "student-01" / "test.txt").read_text().split()
    assert {word for word in texts if not word.startswith("s")} == {"boca"}


def test_model_of_another_senone_inventory_is_refused(work: Path) -> None:
    pipeline = _pipeline(work, DIFFERENT_TEACHERS)
    pipeline.run(to_stage="teachers")
    card = work / "models" / "teacher-02" / "model.json"
    fields = json.loads(card.read_text())
    fields["tree_fingerprint"] = "another"
    card.write_text(json.dumps(fields))
    with pytest.raises(ModelError, match=r"teacher-02: the models have different senones"):
        pipeline.run("baseline", "ensemble")


def test_students_shards_hold_augmented_views_that_the_teachers_labelled(work: Path) -> None:
    views = (
        "views.count=2",
        "views.augment.speeds=[0.9, 1.0, 1.1]",
        "views.augment.spec_augment={num_time_masks: 1}",
    )
    _pipeline(work, DIFFERENT_TEACHERS, *views).run(to_stage="ensemble")
    shard_set = open_shard_set(WorkDir(work).shards)
    assert shard_set.header.views == ("", "view1", "view2")
    assert shard_set.header.augmentation
    stored = {(u.utt_id, u.view): u for shard in shard_set.shards(["train"]) for u in shard_set.read(shard)}
    assert len(stored) == 3 * 24
    changed = 0
    for (utt_id, view), utterance in stored.items():
        original = stored[utt_id, ""]
        if len(utterance) != len(original):
            changed += 1
        expected = view_labels(original.pdf_ids, len(utterance))
        assert np.array_equal(utterance.pdf_ids, expected)
        if view and len(utterance) == len(original):
            assert not np.array_equal(utterance.features, original.features)
    assert 10 < changed < 48
    assert {u.view for shard in shard_set.shards(["dev"]) for u in shard_set.read(shard)} == {""}


def test_nets_on_hard_labels_learn_the_views_that_the_recipe_names(tmp_path: Path) -> None:
    views = ("views.count=2", "views.hard=1", "views.augment.speeds=[0.9, 1.1]", "control.count=1")
    pipeline = _pipeline(tmp_path / "work", DIFFERENT_TEACHERS, *views)
    pipeline.run(to_stage="ensemble")
    place = WorkDir(tmp_path / "work")
    shard_set = open_shard_set(place.shards)
    stored = {(u.utt_id, u.view): u for shard in shard_set.shards(["train"]) for u in shard_set.read(shard)}
    teachers, baseline, student = (pipeline.stages[place] for place in (3, 4, 6))
    # A pipeline's stages are typed as the base class.
    for net in (*teachers.nets.values(), *baseline.controls.values()):  # type: ignore[attr-defined]  # of stages in general
        source = hard_source(place, net, "train", net.data_share)
        drawn = [
            len(utterance)
            for (utt_id, view), utterance in stored.items()
            if view != "view2" and is_drawn(utt_id, net.data_share, net.draw)
        ]
        assert source.num_frames == sum(drawn)
    # What they learnt is what the ensemble labelled; no other view is kept.
    key = student.nets["student-01"].features.key  # type: ignore[attr-defined]  # the student stage
    kept = place.feature_store(key, "train", "view1")
    for utt_id in kept.utt_ids:
        np.testing.assert_allclose(kept.get(utt_id), stored[utt_id, "view1"].features, atol=2e-3)
    folders = {folder.name for folder in place.features(key, "train").parent.iterdir()}
    assert folders == {"train", "dev", "test", "train-view1"}


def test_hard_and_soft_labels_of_the_same_share_of_the_data(work: Path) -> None:
    share = ("ensemble.data_share=0.5", "baseline.data_share=0.5", "baseline.count=1", "control.count=0")
    pipeline = _pipeline(work, DIFFERENT_TEACHERS, *share)
    pipeline.run(to_stage="ensemble")
    place = WorkDir(work)
    shard_set = open_shard_set(place.shards)
    stored = {u.utt_id for shard in shard_set.shards(["train"]) for u in shard_set.read(shard)}
    every = {utterance.utt_id for utterance in place.utterances("train")}
    assert stored == {utt_id for utt_id in every if is_drawn(utt_id, 0.5, 0)}
    assert 0 < len(stored) < len(every)
    (net,) = pipeline.stages[4].nets.values()  # type: ignore[attr-defined]  # the baseline stage
    source = hard_source(place, net, "train", net.data_share)
    assert source.num_frames == shard_set.header.num_frames(("train",))


def test_cross_labelling_asks_the_teachers_that_did_not_learn_an_utterance(work: Path) -> None:
    overrides = (
        "teachers.folds={count: 2, by: utterance}",
        "teachers.count=3",
        "views.count=1",
        "ensemble.code={name: dense}",
        "ensemble.num_processes=2",
    )
    pipeline = _pipeline(work, *overrides)
    pipeline.run("features", "ensemble")
    place = WorkDir(work)
    nets = pipeline.stages[3].nets  # type: ignore[attr-defined]  # the teachers stage
    folds = Folds(count=2, by="utterance").of_each(place.utterances("train"))
    key = next(iter(nets.values())).features.key
    store = place.feature_store(key, "train")
    lengths = {utt_id: len(store.get(utt_id)) for utt_id in store.utt_ids}
    for number, net in enumerate(nets.values()):
        learnt = [length for utt_id, length in lengths.items() if folds[utt_id] != number % 2]
        assert hard_source(place, net, "train", 1.0).num_frames == sum(learnt)
    # A baseline learns everything, so that no teacher is one.
    assert json.loads((place.models / "baseline.json").read_text()) == ["baseline-01", "baseline-02"]
    shard_set = open_shard_set(place.shards)
    assert shard_set.header.folds == Folds(count=2, by="utterance")
    for split, view in (("train", ""), ("train", "view1"), ("dev", "")):
        stored = {u.utt_id: u for s in shard_set.shards([split]) for u in shard_set.read(s) if u.view == view}
        for fold, names in enumerate([("teacher-01", "teacher-03"), ("teacher-02",)]):
            own = {utt_id: u for utt_id, u in stored.items() if split == "dev" or folds[utt_id] == fold}
            every = ("teacher-01", "teacher-02", "teacher-03")
            system = System.load(SystemCard(models=every if split == "dev" else names), place.models)
            assert own
            for utterance in own.values():
                logits = [model.logits(utterance.features.astype(np.float32)) for model in system.models]
                expected = ensemble_log_posteriors(logits, shard_set.header.temperature).exp()
                soft = shard_set.code.decode(utterance.targets, len(utterance))
                kept = dense_posteriors(soft, expected.shape[1])
                torch.testing.assert_close(kept, expected, atol=0.03, rtol=0.05)
    pipeline.run("student", "student")


def test_training_utterances_that_lose_their_transcripts_are_learnt_from_the_teachers(
    tmp_path: Path,
) -> None:
    share = ("corpus.transfer_share=0.3", "student.passes={train: 2}", "student.train.masks={}")
    pipeline = _pipeline(tmp_path / "work", *share)
    pipeline.run(to_stage="ensemble")
    place = WorkDir(tmp_path / "work")
    train, transfer = place.utterances("train"), place.utterances("transfer")
    assert len(train) + len(transfer) == 24
    assert transfer
    assert all(row.text is None for row in transfer)
    assert not {row.utt_id for row in train} & {row.utt_id for row in transfer}
    shard_set = open_shard_set(place.shards)
    labels = [u.pdf_ids for shard in shard_set.shards(["transfer"]) for u in shard_set.read(shard)]
    assert len(labels) == len(transfer)
    assert all(each is None for each in labels)
    pipeline.run("student")
    header = shard_set.header
    student, teacher = (read_card(place.models / name).provenance for name in ("student-01", "teacher-01"))
    assert student["loss"]["passes"] == {"train": 2}
    # What is hidden from the student the teachers have seen.
    assert student["settings"]["train"]["masks"]["max_freq_width"] == 12
    assert "masks" not in teacher["settings"]["train"]
    assert header.num_frames(("train",)) > header.num_frames(("transfer",)) > 0


def test_students_begin_with_the_weights_of_teachers_in_turn(work: Path, tmp_path: Path) -> None:
    # A rate of almost nothing leaves the weights where they began.
    still = ("student.train.learning_rate=1e-12", "student.train.precision=fp32", "student.count=3")
    pipeline = _pipeline(work, "student.start=teacher", *still)
    pipeline.run("teachers", "student")
    for student, teacher in ((1, 1), (2, 2), (3, 1)):
        folder = work / "models" / f"student-0{student}"
        card = read_card(folder)
        assert card.provenance["started_from"] == f"teacher-0{teacher}"
        # The student's net has no dropout layers, so that their names differ.
        learnt = load_model(folder).net.state_dict().values()
        begun = load_model(work / "models" / f"teacher-0{teacher}").net.state_dict().values()
        for got, expected in zip(learnt, begun, strict=True):
            torch.testing.assert_close(got, expected, rtol=0, atol=1e-6)
    recipe = load_recipe(work.parent / "work-recipe", overrides=[*BASE, "student.start=teacher"])
    out = tmp_path / "elsewhere"
    plan = StudentPlan(work / "shards", recipe.student, recipe.student_net(), out, tmp_path / "training")
    with pytest.raises(ConfigError, match=r"student\.start: no teacher to start from; give --start MODEL"):
        train_student(plan)
    narrow = recipe.student_net().model_copy(update={"model": ArchitectureConfig(options={"units": 7})})
    teacher = work / "models" / "teacher-01"
    with pytest.raises(ConfigError, match="the net to start from has other layers; expected"):
        train_student(replace(plan, net=narrow, start=teacher))
    for what, fact in STRANGERS.items():
        stranger = shutil.copytree(teacher, tmp_path / what)
        card = json.loads((stranger / "model.json").read_text(encoding="utf-8"))
        changed = {key: {**card[key], **new} if isinstance(new, dict) else new for key, new in fact.items()}
        (stranger / "model.json").write_text(json.dumps({**card, **changed}), encoding="utf-8")
        with pytest.raises(ConfigError, match=f"the net to start from has {what} than the shards; expected"):
            train_student(replace(plan, start=stranger))


def test_nets_that_are_there_are_no_work_to_share_out(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Who finds one of five has four to train: on two cores two rounds of two, not three nets and then one.
    shared_out: list[int] = []

    def count(
        function: Callable[..., object], arguments: Sequence[tuple[object, ...]], jobs: int | None
    ) -> list:
        shared_out.append(len(arguments))
        return run_side_by_side(function, arguments, jobs)

    monkeypatch.setattr("asr_kd.stages.teachers.run_side_by_side", count)
    monkeypatch.setattr("asr_kd.stages.student_training.run_side_by_side", count)
    for wanted in (1, 3):
        _pipeline(work, f"teachers.count={wanted}").run("teachers", "teachers")
    assert shared_out == [1, 2]
    _pipeline(work, "teachers.count=3").run("baseline", "ensemble")
    shared_out.clear()
    for wanted in (1, 3):
        _pipeline(work, "teachers.count=3", f"student.count={wanted}").run("student", "student")
    assert shared_out == [1, 2]
