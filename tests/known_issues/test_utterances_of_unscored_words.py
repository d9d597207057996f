"""An utterance of dev or test with unscored words alone, or no text, stopped the run after all training."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from asr_kd.errors import CorpusError
from asr_kd.score.word_classes import read_word_classes
from asr_kd.stages.base import WorkDir
from asr_kd.stages.prepare import CorpusConfig, PrepareStage

MODULE = """
from asr_kd.data.manifest import Utterance
from data_prep.common import CorpusOptions, write_corpus

class Options(CorpusOptions):
    dev: tuple[str | None, ...] = ("bob", "uh uh", "uh bob", None, "dob", "bob dob")
    score_words: dict[str, str] | None = {"uh": "", "dob": "bob"}

def prepare(corpus, out, options):
    def rows(split, texts):
        return [
            Utterance(f"{split}-{i}", f"{split}-speaker", f"{i}.wav", 16000, 16000, text)
            for i, text in enumerate(texts)
        ]
    splits = {"train": rows("train", ["uh", "bob", "dob"]), "dev": rows("dev", options.dev),
              "test": rows("test", ["bob", "dob"])}
    lexicon = [("uh", ("AH",)), ("bob", ("B", "AO", "B")), ("dob", ("D", "AO", "B"))]
    return write_corpus(out, name="talk", splits=splits, lexicon=lexicon, source="made up",
                        licence="none", options=options, score_words=options.score_words)
"""


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WorkDir]:
    """A work folder, with a user's corpus of conversation at hand."""
    (tmp_path / "talk").mkdir()
    (tmp_path / "talk/corpus.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    yield WorkDir(tmp_path / "work")
    for name in ("talk.corpus", "talk"):
        sys.modules.pop(name, None)


def _texts(work: WorkDir, split: str) -> list[str | None]:
    return [row.text for row in work.utterances(split)]


def test_they_are_left_out_and_counted(work: WorkDir, capsys: pytest.CaptureFixture[str]) -> None:
    facts = PrepareStage(CorpusConfig(module="talk.corpus"), None).run(work)
    assert _texts(work, "dev") == ["bob", "uh bob", "dob", "bob dob"]
    assert _texts(work, "train") == ["uh", "bob", "dob"]
    references = {row.utt_id: row.text or "" for row in work.utterances("dev")}
    assert all(read_word_classes(work.score_words).fold(references).values())
    assert facts["dev without a scored word"] == "2 of 6 utterances left out"
    assert "test without a scored word" not in facts
    assert "dev: 2 of 6 utterances left out: no word that is scored" in capsys.readouterr().err
    summary = json.loads((work.corpus / "corpus.json").read_text())
    assert summary["splits"]["dev"]["utterances"] == 4
    assert summary["unscored"] == {"dev": "2 of 6 utterances left out"}


def test_a_limit_counts_what_is_scored(work: WorkDir) -> None:
    PrepareStage(CorpusConfig(module="talk.corpus", limit={"dev": 4}), None).run(work)
    assert _texts(work, "dev") == ["bob", "uh bob", "dob", "bob dob"]


def test_a_corpus_of_scored_words_is_as_it_was(work: WorkDir) -> None:
    options = {"dev": ["uh", "bob"], "score_words": None}
    facts = PrepareStage(CorpusConfig(module="talk.corpus", options=options), None).run(work)
    assert list(facts) == ["corpus", "train", "dev", "test"]
    assert "unscored" not in json.loads((work.corpus / "corpus.json").read_text())
    assert _texts(work, "dev") == ["uh", "bob"]


def test_a_split_of_nothing_else_is_refused(work: WorkDir) -> None:
    message = "^talk: no utterance of dev has a word that is scored; .*got 2 utterances without"
    with pytest.raises(CorpusError, match=message):
        PrepareStage(CorpusConfig(module="talk.corpus", options={"dev": ["uh", None]}), None).run(work)
    assert not work.corpus.exists()
