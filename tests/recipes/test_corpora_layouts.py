"""Recipes for corpora that cannot lie in the repository, on tiny ones in the originals' exact layout."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from asr_kd.config import find_recipe, load_recipe
from asr_kd.data.audio import load_utterance
from asr_kd.data.manifest import read_manifest
from asr_kd.report.results import read_results
from tests.support.kaldi_corpus import make_kaldi_corpus
from tests.support.original_layouts import make_commonvoice, make_mini_librispeech, make_timit
from tests.support.run_recipe import run_recipe


def test_kaldi_smoke_profile(tmp_path: Path) -> None:
    printed = run_recipe("kaldi", tmp_path / "work", make_kaldi_corpus(tmp_path))
    results = read_results(tmp_path / "work" / "results.json")
    assert re.match(r"%WER [\d.]+ \[ .* \] student test$", printed.rstrip().splitlines()[-1])
    student = results.row("student", "test")
    assert student.wer is not None
    assert student.wer.mean < 0.2


def test_librispeech_smoke_profile_prepares(tmp_path: Path) -> None:
    run_recipe("librispeech", tmp_path / "work", make_mini_librispeech(tmp_path), "--to-stage", "prepare")
    assert len(read_manifest(tmp_path / "work" / "corpus" / "train.jsonl")) == 3


def test_timit_smoke_profile_prepares(tmp_path: Path) -> None:
    run_recipe("timit", tmp_path / "work", make_timit(tmp_path), "--to-stage", "prepare")
    assert len(read_manifest(tmp_path / "work" / "corpus" / "test.jsonl")) == 24


def test_commonvoice_smoke_profile_prepares(tmp_path: Path) -> None:
    run_recipe("commonvoice", tmp_path / "work", make_commonvoice(tmp_path), "--to-stage", "prepare")
    corpus = tmp_path / "work" / "corpus"
    assert [row.text for row in read_manifest(corpus / "train.jsonl")] == ["bore da byd", "mae'r tŷ'n goch"]
    assert "tŷ'n t ŷ n\n" in (corpus / "lexicon.txt").read_text()
    assert load_utterance(read_manifest(corpus / "test.jsonl")[0]).sampling_rate == 32000


@pytest.mark.parametrize("profile", ["default", "mini", "100", "960", "paper", "smoke"])
def test_librispeech_profiles_are_whole(profile: str) -> None:
    recipe = load_recipe(find_recipe("librispeech"), profile)
    assert recipe.corpus.parsed_options()


def test_the_paper_profile_is_hintons_configuration() -> None:
    recipe = load_recipe(find_recipe("librispeech"), "paper")
    nets = recipe.teacher_nets()
    assert len(nets) == 10
    assert len({net.seed for net in nets}) == 10
    for net in (*nets, *recipe.baseline_nets(), recipe.student_net()):
        assert (net.window.left, net.window.right) == (20, 5)
        assert net.model.options == {"hidden_layers": 8, "units": 2560, "dropout": 0.0}
        assert net.features.options["num_mel_bins"] == 40
    assert recipe.align.senones is not None
    assert recipe.align.senones.num_leaves == 14_000
    assert recipe.ensemble.temperature == 2.0
    assert (recipe.student.soft_weight, recipe.student.hard_weight) == (1.0, 0.5)
