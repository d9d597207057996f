"""A corpus that says as which words others are scored, as TIMIT does of its phones."""

from __future__ import annotations

from pathlib import Path

from asr_kd.data.manifest import Utterance
from asr_kd.stages.base import WorkDir
from asr_kd.stages.score import word_score
from data_prep.common import CorpusOptions, write_corpus


def test_the_classes_of_a_corpus_reach_the_score(tmp_path: Path) -> None:
    work = WorkDir(tmp_path)
    splits = {
        split: [Utterance(f"{split}-1", split, "a.wav", 16000, 16000, "cl t ix q")]
        for split in ("train", "dev", "test")
    }
    write_corpus(
        work.corpus,
        name="phones",
        splits=splits,
        lexicon=[(phone, (phone,)) for phone in ("cl", "t", "ix", "q")],
        source="made by the tests",
        licence="none",
        options=CorpusOptions(),
        score_words={"cl": "sil", "vcl": "sil", "ix": "ih", "q": ""},
    )
    (work.decode / "student-01").mkdir(parents=True)
    (work.decode / "student-01" / "test.txt").write_text("test-1 vcl d ih\n")
    result = word_score(work, "student-01", "test")
    # By hand: "sil t ih" is the reference, "sil d ih" the hypothesis.
    assert (result.num_errors, result.num_reference_words) == (1, 3)
