"""Corpus modules by name, and the checks that all of them share."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from asr_kd.data.manifest import Utterance
from asr_kd.errors import AsrKdError, ConfigError, CorpusError
from data_prep.common import CorpusOptions, check_disjoint, describe_audio, write_corpus
from data_prep.registry import BUILT_IN, load_corpus_module


def row(utt_id: str, speaker: str, text: str | None = "A") -> Utterance:
    return Utterance(utt_id, speaker, f"{utt_id}.wav", 8000, 8000, text)


def splits(**changes: list[Utterance]) -> dict[str, list[Utterance]]:
    return {"train": [row("t1", "s1")], "dev": [row("d1", "s2")], "test": [row("e1", "s3")], **changes}


def write(folder: Path, parts: dict[str, list[Utterance]], **changes: object) -> None:
    settings = {"lexicon": [("A", ("AH",))], "source": "made", "licence": "none", "options": CorpusOptions()}
    write_corpus(folder, name="toy", splits=parts, **{**settings, **changes})  # type: ignore[arg-type]  # any settings


def test_built_in_corpora_are_found_by_name() -> None:
    for name in BUILT_IN:
        module = load_corpus_module(name)
        assert module.name == name
        assert issubclass(module.options_type, CorpusOptions)
        assert module.options_type() == module.options_type()
    with pytest.raises(
        ConfigError, match='unknown corpus "wsj"; expected quickstart, yesno, fsdd, speechocean762'
    ):
        load_corpus_module("wsj")


def test_a_corpus_module_of_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "corpus.py").write_text(
        "from data_prep.common import CorpusOptions\n"
        "class Options(CorpusOptions):\n    size: int = 3\n"
        "def prepare(corpus, out, options):\n    return options.size\n"
    )
    (tmp_path / "mine" / "empty.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    module = load_corpus_module("mine.corpus")
    assert module.prepare(None, tmp_path, module.options_type(size=5)) == 5
    with pytest.raises(ConfigError, match=r'"mine\.empty" is not a corpus module; expected a class Options'):
        load_corpus_module("mine.empty")
    with pytest.raises(ConfigError, match=r'"mine\.missing" cannot be imported \(No module named'):
        load_corpus_module("mine.missing")
    for name in [name for name in sys.modules if name.split(".")[0] == "mine"]:
        del sys.modules[name]


def test_files_of_a_corpus(tmp_path: Path) -> None:
    train = [row("t2", "s1", "B A"), row("t1", "s1", "A"), row("t3", "s1", None)]
    lexicon = [("B", ("B", "IY")), ("A", ("EY",)), ("A", ("AH",)), ("A", ("AH",))]
    parts = splits(train=train, test=[row("e1", "s3", "A C A B")], transfer=[row("x1", "s4", None)])
    write(tmp_path, parts, lexicon=lexicon)
    names = {
        "train.jsonl",
        "dev.jsonl",
        "test.jsonl",
        "transfer.jsonl",
        "lexicon.txt",
        "lm_text.txt",
        "corpus.json",
    }
    assert {path.name for path in tmp_path.iterdir()} == names
    assert (tmp_path / "lexicon.txt").read_text() == "A AH\nA EY\nB B IY\n"
    assert (tmp_path / "lm_text.txt").read_text() == "A\nB A\n"
    summary = (tmp_path / "corpus.json").read_text()
    assert '"share_not_in_train_text": 0.25' in summary
    assert '"hours": 0.0008' in summary


@pytest.mark.parametrize(
    ("parts", "error", "message"),
    [
        (splits(dev=[]), CorpusError, "toy: the dev split is empty"),
        (splits(dev=[row("t1", "s2")]), CorpusError, 'utt_id "t1" is in two splits.*got train and dev'),
        (splits(test=[row("e1", "s1")]), CorpusError, 'speaker "s1" is in two splits.*got train and test'),
    ],
)
def test_a_corpus_that_cannot_be_used_is_refused(
    tmp_path: Path, parts: dict[str, list[Utterance]], error: type[AsrKdError], message: str
) -> None:
    with pytest.raises(error, match=message):
        write(tmp_path, parts)
    assert list(tmp_path.iterdir()) == []


def test_speakers_may_be_shared_where_nothing_else_is_promised(tmp_path: Path) -> None:
    write(tmp_path, splits(test=[row("e1", "s1")]), speakers_disjoint=False)
    check_disjoint({"a": ["x", "x"], "b": ["y"]}, "speaker", "here")


def test_audio_is_described_relative_to_the_corpus_or_absolutely(
    tmp_path: Path, make_wav: Callable[..., Path]
) -> None:
    path = make_wav(tmp_path / "audio" / "a.wav", seconds=0.5)
    assert (
        describe_audio(path, utt_id="a", speaker="s", text="A", relative_to=tmp_path).audio == "audio/a.wav"
    )
    absolute = describe_audio(path, utt_id="a", speaker="s", text=None)
    assert (absolute.audio, absolute.num_samples, absolute.text) == (str(path), 4000, None)
