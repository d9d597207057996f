"""Rescoring with a model that gives a word no probability printed endless costs, or a traceback for JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from asr_kd.cli.app import app
from asr_kd.decode.rescore import Rescorer
from asr_kd.decode.word_lattice import Candidate
from asr_kd.errors import LanguageModelError
from asr_kd.lang.arpa import write_arpa
from asr_kd.lang.ngram import LOG10_ZERO, NgramModel, uniform_ngram
from asr_kd.recogniser import Recogniser
from tests.support.known_scores import known_scores
from tests.support.spoken_words import LEXICON

_LM = uniform_ngram(LEXICON.words)


def _without(lm: NgramModel, *words: str) -> NgramModel:
    """Return a model that gives no probability to some words."""
    return replace(lm, log_probs=({**lm.log_probs[0], **{(word,): LOG10_ZERO for word in words}},))


def _rescored(
    folder: Path, monkeypatch: pytest.MonkeyPatch, lm: NgramModel, *options: str
) -> tuple[int, str]:
    """Return code and output of ``transcribe --rescore``."""
    recogniser = known_scores(folder, _LM)
    monkeypatch.setattr(Recogniser, "load", lambda path: recogniser)
    soundfile.write(folder / "a.wav", np.zeros(8000), 8000)
    write_arpa(folder / "new.arpa", lm)
    command = ["transcribe", str(folder), str(folder / "a.wav"), "--rescore", str(folder / "new.arpa")]
    done = CliRunner().invoke(app, [*command, *options])
    if isinstance(done.exception, LanguageModelError):
        return 1, str(done.exception)
    assert done.exception is None, done.exception
    return 0, done.stdout


@pytest.mark.parametrize("options", [("--json",), ("--nbest", "5"), ("--ctm", "{}/out.ctm"), ()])
def test_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]) -> None:
    filled = [option.format(tmp_path) for option in options]
    code, output = _rescored(tmp_path, monkeypatch, _without(_LM, "tea", "as"), *filled)
    assert code == 1
    assert output == (
        f"{tmp_path}/new.arpa: the language model gives no probability to words of the graph's, 2 in all: "
        "as, tea; expected a 1-gram above -99 of each word and of </s>; rescore with a smoothed model"
    )


def test_a_sentence_has_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, output = _rescored(tmp_path, monkeypatch, _without(_LM, "</s>"), "--json")
    assert code == 1
    assert (
        "new.arpa: the language model gives no probability to words of the graph's, 1 in all: </s>;" in output
    )
    no_end = {ngram: log_prob for ngram, log_prob in _LM.log_probs[0].items() if ngram != ("</s>",)}
    with pytest.raises(LanguageModelError, match="no probability to words of the graph's, 1 in all: </s>"):
        Rescorer(_LM, replace(_LM, log_probs=(no_end,)))


def test_a_word_that_the_graph_never_gives_needs_none() -> None:
    lm = _without(uniform_ngram(["a", "b"]), "b")
    (found,) = Rescorer(lm, lm).rescore([Candidate(("a",), 2.0)])
    assert found == (("a",), pytest.approx(2.0))


def test_what_may_not_follow_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sentence of the new model begins with "sue" or "to": nothing else has a probability there."""
    bigrams = {("<s>", "sue"): -0.3, ("<s>", "to"): -0.3}
    lm = NgramModel((_LM.log_probs[0], bigrams), {("<s>",): LOG10_ZERO})
    code, output = _rescored(tmp_path, monkeypatch, lm, "--json", "--nbest", "50")
    assert code == 0
    found = [json.loads(line) for line in output.splitlines()]
    assert {each["text"].split()[0] for each in found} <= {"sue", "to"}
    assert all(np.isfinite(each["lm_cost"]) for each in found)


def test_nothing_is_left() -> None:
    lm = uniform_ngram(["a", "b"])
    never = NgramModel((lm.log_probs[0], {("<s>", "b"): -0.1}), {("<s>",): LOG10_ZERO})
    with pytest.raises(LanguageModelError, match=r'any of 1 alternatives; got "a" and others; rescore with'):
        Rescorer(lm, never, Path("new.arpa")).rescore([Candidate(("a",), 2.0)])
