"""Words of dev and test that the lexicon lacks counted as failed alignments, and stopped the align stage."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from asr_kd.align.corpus import AlignmentReport
from asr_kd.align.viterbi import AlignmentFailure
from asr_kd.config import load_recipe
from asr_kd.errors import AlignmentError
from asr_kd.experiment import open_pipeline
from asr_kd.report.results import Provenance
from asr_kd.stages.base import WorkDir
from tests.support.kaldi_corpus import make_kaldi_corpus, write_lines
from tests.support.tones import tones_recipe

SETTINGS = (
    "corpus={module: kaldi, options: {lexicon: local/dict}}",
    "align.flat_start={num_iterations: 2, total_gaussians: 12, last_mixing_iteration: 1}",
    "align.flat_start.realign_iterations=[1]",
)


def test_are_counted_by_themselves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = make_kaldi_corpus(tmp_path, utterances=6)
    first, *others = (data / "test" / "text").read_text().splitlines()
    write_lines(data / "test" / "text", f"{first} zebra", *others)
    folder = tones_recipe(tmp_path / "recipe")
    provenance = Provenance(recipe="tones", profile="default", command="asr-kd run", machine="test")
    work = WorkDir(tmp_path / "work")
    recipe = load_recipe(folder, overrides=SETTINGS)
    open_pipeline(recipe, folder, work.root, data, provenance).run(to_stage="align")

    # One of twelve: more than the 2 % that may fail.
    assert "align test: aligned 11 of 12; 1 with unknown words" in capsys.readouterr().err
    utt_id = first.split()[0]
    expected = f"{utt_id} words without a pronunciation: zebra\n"
    assert (work.align / "failed.txt").read_text() == expected
    facts = json.loads((work.align / "alignment.json").read_text())["splits"]["test"]
    assert {**facts, "frames": 0} == {"utterances": 12, "aligned": 11, "failed": 1, "frames": 0}
    assert utt_id not in work.alignment("test")


def test_do_not_hide_failures() -> None:
    unknown = [AlignmentFailure(f"u{number}", "words without a pronunciation: zebra") for number in range(90)]
    failed = [AlignmentFailure("f", "too short")]
    report = AlignmentReport(num_aligned=9, failures=failed, unknown_words=unknown)
    assert report.num_utterances == 100
    assert report.summary() == "aligned 9 of 100; 1 failed; 90 with unknown words"
    report.check(0.1)
    with pytest.raises(AlignmentError, match=r"expected at most 9\.0% failures, got 10\.0%, .* f: too short"):
        report.check(0.09)
