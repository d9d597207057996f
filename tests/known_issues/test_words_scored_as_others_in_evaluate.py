"""``evaluate`` scored words as they stand that the score stage folds, such as the 48 phones of TIMIT."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from asr_kd.cli.app import app
from asr_kd.data.manifest import Utterance
from asr_kd.decode.beam import DecodeConfig, Hypothesis
from asr_kd.recogniser import Recogniser, SystemCard, save_recogniser
from asr_kd.score.word_classes import write_word_classes
from asr_kd.stages.base import WorkDir

_CLASSES = {"cl": "sil", "vcl": "sil", "ix": "ih", "q": ""}
_REFERENCE, _HYPOTHESIS = "cl t ix q", ("vcl", "d", "ih")
# By hand: folded, "sil t ih" is the reference and "sil d ih" the hypothesis.
_FOLDED = "%WER 33.3 [ 1 / 3, 0 ins, 0 del, 1 sub ]"
_AS_THEY_STAND = "%WER 100.0 [ 4 / 4, 0 ins, 1 del, 3 sub ]"


class _OneHypothesis:
    """A recogniser that finds the same words in everything."""

    def vocabulary(self) -> tuple[str, ...]:
        return _HYPOTHESIS

    def recognise(
        self, utterances: Sequence[Utterance], search_path: Path, num_processes: int
    ) -> Iterator[tuple[str, Hypothesis]]:
        for utterance in utterances:
            yield utterance.utt_id, Hypothesis(_HYPOTHESIS, 0.0, True)


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WorkDir:
    """Return a work folder whose recogniser was written before its corpus had classes."""
    monkeypatch.setattr(Recogniser, "load", lambda folder: _OneHypothesis())
    work = WorkDir(tmp_path / "work")
    for folder in (work.models / "student-01", work.graph, work.corpus):
        folder.mkdir(parents=True)
    _write_recogniser(work)
    return work


def _write_recogniser(work: WorkDir) -> Path:
    folder, card = work.recognisers / "student", SystemCard(models=("student-01",))
    save_recogniser(folder, card, work.models, work.graph, DecodeConfig(), work.score_words)
    return folder


def _evaluated(model: Path, audio: Path) -> str:
    audio.mkdir()
    soundfile.write(audio / "u1.wav", np.zeros(8000), 8000)
    (audio / "u1.txt").write_text(_REFERENCE + "\n")
    command = ["evaluate", str(model), str(audio), "--worst", "0"]
    done = CliRunner().invoke(app, command, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("%WER"))
    return line.removesuffix(f" student {audio.name}")


def test_are_folded_as_the_corpus_of_a_work_folder_says(work: WorkDir, tmp_path: Path) -> None:
    write_word_classes(work.score_words, _CLASSES)
    assert _evaluated(work.root, tmp_path / "audio") == _FOLDED


def test_are_folded_as_a_recogniser_says_that_was_moved(work: WorkDir, tmp_path: Path) -> None:
    write_word_classes(work.score_words, _CLASSES)
    (tmp_path / "moved").mkdir()
    moved = shutil.move(_write_recogniser(work), tmp_path / "moved/student")
    shutil.rmtree(work.root)
    assert _evaluated(moved, tmp_path / "audio") == _FOLDED


def test_stay_as_they_are_where_nobody_says_so(work: WorkDir, tmp_path: Path) -> None:
    assert _evaluated(work.root, tmp_path / "audio") == _AS_THEY_STAND
