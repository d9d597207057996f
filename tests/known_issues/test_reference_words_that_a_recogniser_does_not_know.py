"""Capitals and punctuation in transcripts were scored as errors, and so were accents in Unicode's other form,
without a word about it.
"""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from asr_kd.cli.app import app
from asr_kd.decode.graph import build_graph
from asr_kd.lang.hmm import monophone_hmm
from asr_kd.lang.ngram import uniform_ngram
from asr_kd.lang.phones import PhoneSet
from asr_kd.score.wer import score
from asr_kd.score.word_classes import WordClasses, write_word_classes
from asr_kd.score.words import unknown_words
from asr_kd.stages.base import WorkDir
from tests.support.spoken_words import LEXICON
from tests.support.untrained_recogniser import write_recognisers, write_takes

COMPOSED, DECOMPOSED = (unicodedata.normalize(form, "für") for form in ("NFC", "NFD"))


@pytest.fixture
def work(tmp_path: Path) -> WorkDir:
    """A work folder whose student knows six words, of which tea is the first."""
    return write_recognisers(tmp_path / "work", "student")


def _evaluated(work: WorkDir, audio: Path) -> Result:
    command = ["evaluate", str(work.root), str(audio), "--jobs", "1", "--worst", "0"]
    done = CliRunner().invoke(app, command, catch_exceptions=False)
    assert done.exit_code == 0
    return done


def test_evaluate_counts_and_shows_them(work: WorkDir, tmp_path: Path) -> None:
    write_takes(tmp_path / "audio", "Tea to sat.", "sat, Tea eat")
    assert (
        "audio: 4 of 6 reference words are not words of this recogniser (Tea, sat., sat,): they count as "
        'errors; its words are written like "tea"'
    ) in _evaluated(work, tmp_path / "audio").stderr


def test_words_are_known_as_they_are_scored(work: WorkDir, tmp_path: Path) -> None:
    work.corpus.mkdir()
    write_word_classes(work.score_words, {"tea": "drink", "cocoa": "drink", "uh": ""})
    write_takes(tmp_path / "audio", "uh cocoa to", "drink sat")
    assert "not words" not in _evaluated(work, tmp_path / "audio").stderr


def test_a_word_that_is_like_no_other_is_only_named() -> None:
    told = "1 of 3 reference words are not words of this recogniser (cocoa): they count as errors"
    assert unknown_words(["tea cocoa", "sat"], ["tea", "sat"]) == told
    assert unknown_words(["tea", "sat"], ["tea", "sat"]) is None


def test_a_graph_knows_the_words_of_its_language_model_alone() -> None:
    lm = uniform_ngram(("tea", "sat"))
    graph = build_graph(LEXICON, monophone_hmm(PhoneSet.from_lexicon(LEXICON)), lm)
    assert set(graph.vocabulary()) == {"sat", "tea"}
    assert len(graph.words) == 6


@pytest.mark.parametrize(("said", "found"), [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED)])
def test_an_accent_is_the_same_in_either_form(tmp_path: Path, said: str, found: str) -> None:
    assert said != found
    assert unknown_words([said], [found]) is None
    assert WordClasses({said: "", "ein": found}).fold({"u": f"{found} ein"}) == {"u": found}
    reference, hypothesis = tmp_path / "ref.txt", tmp_path / "hyp.txt"
    reference.write_text(f"u {said} dich\n", encoding="utf-8")
    hypothesis.write_text(f"u {found} mich\n", encoding="utf-8")
    done = CliRunner().invoke(app, ["score", str(reference), str(hypothesis)], catch_exceptions=False)
    # By hand: the second of two words is wrong.
    assert "%WER 50.0 [ 1 / 2, 0 ins, 0 del, 1 sub ]" in done.stdout
    (utterance,) = score({"u": said}, {"u": found}).utterances
    assert utterance.reference == utterance.hypothesis == COMPOSED
