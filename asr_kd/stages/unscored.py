"""Utterances of dev and test without a word that is scored, which have no word error rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from asr_kd.data.manifest import Utterance
from asr_kd.errors import CorpusError
from asr_kd.progress import say
from asr_kd.score.word_classes import SCORE_WORDS_FILE, WordClasses, read_word_classes

_SCORED_SPLITS = ("dev", "test")


def leave_out_unscored(
    folder: Path, splits: Mapping[str, Sequence[Utterance]], name: str
) -> tuple[dict[str, list[Utterance]], dict[str, str]]:
    """Return dev and test without the utterances of which no word is scored, where there are any.

    These have no text, or hesitations alone. Kaldi scores them too: what is recognised there counts as
    insertions. Here they are neither decoded nor scored, nor looked at while a net trains.

    Args:
        folder: Of the corpus, where it says which words are not scored.
        splits: All utterances by split.
        name: Of the corpus.

    Returns:
        What is left of each split that has such utterances, and how many were left out of it, in words.

    Raises:
        CorpusError: For a split that has no other utterances.
    """
    classes = read_word_classes(folder / SCORE_WORDS_FILE)
    kept: dict[str, list[Utterance]] = {}
    counts: dict[str, str] = {}
    for split in _SCORED_SPLITS:
        rows = splits[split]
        scored = scored_utterances(rows, classes)
        if not scored:
            raise CorpusError(
                f"no utterance of {split} has a word that is scored",
                where=name,
                expected="a text with at least one",
                got=f"{len(rows):,} utterances without",
                hint=f"check the texts of {split} and {SCORE_WORDS_FILE}",
            )
        if len(scored) < len(rows):
            kept[split] = scored
            counts[split] = left_out(rows, scored)
            say(f"{split}: {counts[split]}: no word that is scored")
    return kept, counts


def scored_utterances(rows: Sequence[Utterance], classes: WordClasses) -> list[Utterance]:
    """Return the utterances that have a word that is scored."""
    references = classes.fold({row.utt_id: row.text or "" for row in rows})
    return [row for row in rows if references[row.utt_id].split()]


def left_out(rows: Sequence[Utterance], kept: Sequence[Utterance]) -> str:
    """Return how many utterances were left out, in words."""
    return f"{len(rows) - len(kept):,} of {len(rows):,} utterances left out"
