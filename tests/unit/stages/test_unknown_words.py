from __future__ import annotations

import json
import sys

import pytest

from asr_kd.data.manifest import read_manifest
from asr_kd.errors import LexiconError
from asr_kd.lang.lexicon import read_lexicon
from asr_kd.stages.base import WorkDir
from asr_kd.stages.prepare import CorpusConfig, PrepareStage
from asr_kd.stages.unknown_words import LexiconConfig

# Every letter has one phone; "bod" has no pronunciation, and no utterance of dev or test is looked at.
TEXTS = ["dob bod", "bob", "dod", "obo", "odo", "dobo", "bobo", "bodo", "dodo", "obod"]
KNOWN = ["dob", "bob", "dod", "obo", "odo", "dobo", "bobo", "bodo", "dodo", "obod"]
PHONES = {"b": "B", "d": "D", "o": "AO"}


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A user's corpus module over no audio at all."""
    (tmp_path / "small").mkdir()
    (tmp_path / "small/corpus.py").write_text(
        f"""
from asr_kd.data.manifest import Utterance
from data_prep.common import CorpusOptions, write_corpus

class Options(CorpusOptions):
    pass

def prepare(corpus, out, options):
    def rows(split, texts):
        return [
            Utterance(f"{{split}}-{{i}}", f"{{split}}-speaker", f"{{i}}.wav", 16000, 16000, text)
            for i, text in enumerate(texts)
        ]
    splits = {{"train": rows("train", {TEXTS!r}), "dev": rows("dev", ["bod"]), "test": rows("test", ["xyz"])}}
    phones = {PHONES!r}
    lexicon = [(word, tuple(phones[letter] for letter in word)) for word in {KNOWN!r}]
    return write_corpus(
        out, name="small", splits=splits, lexicon=lexicon, source="made up", licence="none", options=options
    )
"""
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield CorpusConfig(module="small.corpus")
    for name in ("small.corpus", "small"):
        sys.modules.pop(name, None)


def run(module, tmp_path, **lexicon):
    work = WorkDir(tmp_path / "work")
    facts = PrepareStage(module, None, LexiconConfig(**lexicon)).run(work)
    return work, facts


def test_they_are_refused_unless_the_recipe_says_otherwise(module, tmp_path):
    message = (
        r"^small: 1 words of the train text are not in the lexicon \(bod\); got 1 of 10 utterances with such "
        r"words; .* set lexicon.unknown_words to skip or g2p"
    )
    with pytest.raises(LexiconError, match=message):
        run(module, tmp_path)
    assert not (tmp_path / "work/corpus").exists()


def test_their_utterances_and_sentences_are_left_out_and_counted(module, tmp_path):
    work, facts = run(module, tmp_path, unknown_words="skip")
    assert [row.text for row in work.utterances("train")] == TEXTS[1:]
    assert work.lm_text.read_text().split() == TEXTS[1:]
    assert work.utterances("dev")[0].text == "bod"
    assert facts["unknown words"] == "1 of 10 utterances left out"
    summary = json.loads((work.corpus / "corpus.json").read_text())
    assert summary["splits"]["train"]["utterances"] == 9
    assert summary["unknown_words"] == "1 of 10 utterances left out"


def test_too_many_utterances_without_pronunciations_are_refused(module, tmp_path):
    message = r"expected at most 5\.0% of train with such words, got 1 of 10 utterances"
    with pytest.raises(LexiconError, match=message):
        run(module, tmp_path, unknown_words="skip", max_skipped_share=0.05)


def test_a_model_pronounces_them(module, tmp_path, monkeypatch):
    def spelt(words, lexicon):
        assert "bod" not in lexicon
        return {word: tuple(PHONES[letter] for letter in word) for word in words}

    # The model itself is tested with a lexicon that is large enough: tests/unit/lang/test_g2p.py.
    monkeypatch.setattr("asr_kd.stages.unknown_words.pronounce", spelt)
    work, facts = run(module, tmp_path, unknown_words="g2p")
    assert facts["unknown words"] == "1 words pronounced by a model"
    assert len(read_manifest(work.manifest("train"))) == 10
    lexicon = read_lexicon(work.lexicon)
    assert lexicon.pronunciations["bod"] == (("B", "AO", "D"),)
    assert len(lexicon) == len(KNOWN) + 1
    assert (work.corpus / "lexicon_g2p.txt").read_text() == "bod\tB AO D\n"


def test_the_choice_is_a_setting_that_older_work_folders_lack(module):
    assert "lexicon" not in PrepareStage(module, None).settings()
    skipping = PrepareStage(module, None, LexiconConfig(unknown_words="skip")).settings()
    assert skipping["lexicon"] == {"unknown_words": "skip", "max_skipped_share": 0.1}
