"""A work folder took any other corpus, or an edited one, for its own, and printed its old results."""

from __future__ import annotations

from pathlib import Path

import pytest

from asr_kd.errors import StageError
from asr_kd.pipeline import Pipeline
from asr_kd.stages.base import WorkDir
from asr_kd.stages.prepare import CorpusConfig, PrepareStage
from tests.support.kaldi_corpus import make_kaldi_corpus


def _prepare(corpus: Path | None, work: Path) -> Pipeline:
    config = CorpusConfig(module="kaldi", options={"speakers_disjoint": True})
    return Pipeline([PrepareStage(config, corpus)], WorkDir(work))


def test_is_refused(tmp_path: Path) -> None:
    first, second = (make_kaldi_corpus(tmp_path / name, utterances=2) for name in ("a", "b"))
    work = tmp_path / "work"
    _prepare(first, work).run()
    _prepare(first, work).run()
    _prepare(None, work).run()  # it goes on with the one that it has
    with pytest.raises(StageError, match=r"prepare was done with other inputs: corpus was .*, is .*b/data"):
        _prepare(second, work).run()
    text = first / "test" / "text"
    text.write_text(text.read_text().replace("\n", " \n", 1))
    with pytest.raises(StageError, match=r"prepare was done with other inputs: files\.test/text was"):
        _prepare(first, work).run()
    _prepare(first, work).run("prepare", force=True)
    (first / "local" / "dict" / "lexicon.txt").write_text("")
    with pytest.raises(StageError, match=r"files\.local/dict/lexicon\.txt was"):
        _prepare(first, work).run()
