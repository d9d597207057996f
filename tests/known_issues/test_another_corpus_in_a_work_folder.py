"""A work folder took any other corpus, or an edited one, for its own, and printed its old results."""

from __future__ import annotations

from pathlib import Path

import pytest

from asr_kd.errors import StageError
from asr_kd.pipeline import Pipeline
from asr_kd.stages.base import WorkDir
from asr_kd.stages.prepare import CorpusConfig, PrepareStage
from data_prep import commonvoice, lhotse, librispeech, speechocean762
from data_prep.common import CorpusOptions
from tests.support.kaldi_corpus import make_kaldi_corpus


def _prepare(corpus: Path | None, work: Path, module: str = "kaldi") -> Pipeline:
    return Pipeline([PrepareStage(CorpusConfig(module=module), corpus)], WorkDir(work))


def test_is_refused(tmp_path: Path) -> None:
    first, second = (make_kaldi_corpus(tmp_path / name, utterances=2) for name in ("a", "b"))
    work = tmp_path / "work"
    _prepare(first, work).run()
    (first / "local" / "dict" / "lexiconp.txt").touch()  # Kaldi makes it of what was read
    _prepare(first, work).run()
    _prepare(None, work).run()  # it goes on with the one that it has
    text = second / "test" / "text"
    text.write_text(text.read_text().replace("\n", " \n", 1))
    with pytest.raises(StageError, match=r"files\.test/text was .* leave out --corpus"):
        _prepare(second, work).run()
    _prepare(second, work).run("prepare", force=True)
    (second / "local" / "dict" / "lexicon.txt").write_text("")
    with pytest.raises(StageError, match=r"files\.local/dict/lexicon\.txt was"):
        _prepare(second, work).run()


def test_is_refused_too_where_it_has_none_of_the_tables(tmp_path: Path) -> None:
    corpus = make_kaldi_corpus(tmp_path / "a", utterances=2)
    _prepare(corpus, tmp_path / "work").run()
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(StageError, match=r"corpus was None, is /.*; files was"):
        _prepare(empty, tmp_path / "work").run()


def test_is_known_by_its_place_where_nothing_is_to_be_edited(tmp_path: Path) -> None:
    options = CorpusOptions()
    assert options.sources(None) == {}
    assert options.sources(tmp_path) == {"corpus": str(tmp_path.resolve())}


@pytest.mark.parametrize(
    ("options", "read"),
    [
        (speechocean762.Options(), "resource/lexicon.txt"),
        (librispeech.Options(lexicon="mine.txt"), "mine.txt"),
        (librispeech.Options(), "LibriSpeech/librispeech-lexicon.txt"),
        (commonvoice.Options(lexicon="mine.txt"), "mine.txt"),
        (commonvoice.Options(language="de"), "de/train.tsv"),
        (lhotse.Options(train=("a",)), "x_supervisions_a.jsonl.gz"),
    ],
)
def test_what_people_edit_belongs_to_it(tmp_path: Path, options: CorpusOptions, read: str) -> None:
    path = tmp_path / read
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("before")
    before = options.sources(tmp_path)
    assert list(before["files"]) == [read]
    path.write_text("after")
    assert options.sources(tmp_path) != before
