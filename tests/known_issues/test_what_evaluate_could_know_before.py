"""``evaluate`` recognised all before it refused unscored utterances, and utt_ids that --out cannot hold."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from asr_kd.cli.app import app
from asr_kd.errors import ManifestError, ScoringError
from asr_kd.recogniser import Recogniser
from asr_kd.score.text_files import read_text_file
from asr_kd.score.word_classes import write_word_classes
from asr_kd.stages.base import WorkDir
from tests.support.untrained_recogniser import write_recognisers, write_takes


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> WorkDir:
    """A work folder whose corpus does not score "uh"."""
    work = write_recognisers(tmp_path_factory.mktemp("work"), "student")
    work.corpus.mkdir()
    write_word_classes(work.score_words, {"uh": ""})
    return work


def _evaluated(work: WorkDir, audio: Path, *options: str) -> Result:
    command = ["evaluate", str(work.root), str(audio), "--jobs", "1", "--worst", "0", *options]
    return CliRunner().invoke(app, command, catch_exceptions=False)


@pytest.fixture
def _nothing_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    def recognise(*arguments: object) -> None:
        pytest.fail("was recognised before it was checked")

    monkeypatch.setattr(Recogniser, "recognise", recognise)


def test_utterances_without_a_scored_word_are_left_out_and_counted(work: WorkDir, tmp_path: Path) -> None:
    write_takes(tmp_path / "audio", "tea", "uh uh", "uh sat")
    done = _evaluated(work, tmp_path / "audio", "--out", str(tmp_path / "hyp.txt"))
    assert done.exit_code == 0
    assert " / 2, " in done.stdout.splitlines()[-1]
    assert "audio: 1 of 3 utterances left out: no word that is scored" in done.stderr
    assert list(read_text_file(tmp_path / "hyp.txt")) == ["take0", "take2"]


@pytest.mark.usefixtures("_nothing_recognised")
def test_audio_of_nothing_else_is_refused(work: WorkDir, tmp_path: Path) -> None:
    write_takes(tmp_path / "audio", "uh", "uh uh")
    message = r"audio: no utterance has a word that is scored; .* got 2 utterances without; check"
    with pytest.raises(ManifestError, match=message):
        _evaluated(work, tmp_path / "audio")


@pytest.mark.usefixtures("_nothing_recognised")
@pytest.mark.parametrize("name", ["hyp.trn", "hyp.TRN"])
def test_utt_ids_that_a_trn_cannot_hold_are_refused(work: WorkDir, tmp_path: Path, name: str) -> None:
    for path in write_takes(tmp_path / "audio", "tea"):
        for each in (path, path.with_suffix(".txt")):
            each.rename(each.with_stem("take (0)"))
    with pytest.raises(
        ScoringError, match=r'hyp.*: utt_id "take_\(0\)" cannot be written; .* parentheses; rename'
    ):
        _evaluated(work, tmp_path / "audio", "--out", str(tmp_path / name))
