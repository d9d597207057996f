"""Word error rate of hypotheses against references, keyed by utt_id."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import jiwer
from rich.cells import cell_len

from asr_kd.errors import ScoringError
from asr_kd.score.words import compared_words

GAP = "***"
"""Stands where one side of an alignment has no word, as in sclite's listings."""


@dataclass(frozen=True)
class AlignedPair:
    """A reference word beside a hypothesis word; None where that side has none."""

    reference: str | None
    hypothesis: str | None

    @property
    def op(self) -> str:
        """Blank for a hit, else S, D or I."""
        if self.hypothesis is None:
            return "D"
        if self.reference is None:
            return "I"
        return "" if self.reference == self.hypothesis else "S"


class ErrorCounts(Protocol):
    """What a WER is made of: one utterance, a test set, or the sum over several seeds."""

    @property
    def substitutions(self) -> int:
        """Reference words that were recognised as another word."""

    @property
    def deletions(self) -> int:
        """Reference words that were not recognised."""

    @property
    def insertions(self) -> int:
        """Hypothesis words that nobody said."""

    @property
    def num_reference_words(self) -> int:
        """Words in the references."""


def num_errors(counts: ErrorCounts) -> int:
    """Return substitutions + deletions + insertions."""
    return counts.substitutions + counts.deletions + counts.insertions


def word_error_rate(counts: ErrorCounts) -> float:
    """Return errors over reference words, as a fraction (it may exceed 1).

    Where nobody spoke it is 0 without an error and infinite with insertions.
    """
    if not counts.num_reference_words:
        return math.inf if num_errors(counts) else 0.0
    return num_errors(counts) / counts.num_reference_words


@dataclass(frozen=True)
class UtteranceScore:
    """One utterance's errors and the alignment that they were counted on."""

    utt_id: str
    reference: str
    hypothesis: str
    substitutions: int
    deletions: int
    insertions: int
    num_reference_words: int
    pairs: tuple[AlignedPair, ...]

    @property
    def hits(self) -> int:
        """Reference words that were recognised."""
        return self.num_reference_words - self.substitutions - self.deletions

    @property
    def num_errors(self) -> int:
        """Substitutions + deletions + insertions."""
        return num_errors(self)

    @property
    def wer(self) -> float:
        """Errors over reference words, as a fraction."""
        return word_error_rate(self)


@dataclass(frozen=True)
class WerResult:
    """Errors of a set of utterances; ``wer`` is the corpus's, not the mean over utterances."""

    utterances: tuple[UtteranceScore, ...]

    @cached_property
    def substitutions(self) -> int:
        """Reference words that were recognised as another word."""
        return sum(utt.substitutions for utt in self.utterances)

    @cached_property
    def deletions(self) -> int:
        """Reference words that were not recognised."""
        return sum(utt.deletions for utt in self.utterances)

    @cached_property
    def insertions(self) -> int:
        """Hypothesis words that nobody said."""
        return sum(utt.insertions for utt in self.utterances)

    @cached_property
    def num_reference_words(self) -> int:
        """Words in the references."""
        return sum(utt.num_reference_words for utt in self.utterances)

    @property
    def hits(self) -> int:
        """Reference words that were recognised."""
        return self.num_reference_words - self.substitutions - self.deletions

    @property
    def num_errors(self) -> int:
        """Substitutions + deletions + insertions."""
        return num_errors(self)

    @property
    def wer(self) -> float:
        """Errors of all utterances over reference words of all utterances, as a fraction."""
        return word_error_rate(self)


def score(
    references: Mapping[str, str], hypotheses: Mapping[str, str], *, missing_as_empty: bool = False
) -> WerResult:
    """Score hypotheses against references of the same utterances.

    Words are compared as they are written: no change of case, no removal of punctuation; that Unicode writes
    an accent in two ways makes no difference. An empty hypothesis counts as deletions.

    Args:
        references: Text by utt_id, words separated by white space; some may be empty.
        hypotheses: Text by utt_id; may be empty strings.
        missing_as_empty: Count a reference without a hypothesis as if nothing had been recognised.

    Raises:
        ScoringError: For references without a single word, a reference without hypothesis, a hypothesis
            without reference, or no utterances at all.
    """
    _check_utterances(references, hypotheses, missing_as_empty)
    utt_ids = list(references)
    # Normalised here because jiwer splits at blanks alone and would keep "a\tb" as one word.
    reference_texts = [" ".join(compared_words(references[utt_id])) for utt_id in utt_ids]
    hypothesis_texts = [" ".join(compared_words(hypotheses.get(utt_id, ""))) for utt_id in utt_ids]
    output = jiwer.process_words(reference_texts, hypothesis_texts)
    assert len(output.alignments) == len(utt_ids), "jiwer dropped an utterance"
    return WerResult(
        tuple(
            _utterance_score(utt_id, reference, hypothesis, chunks)
            for utt_id, reference, hypothesis, chunks in zip(
                utt_ids, output.references, output.hypotheses, output.alignments, strict=True
            )
        )
    )


def _check_utterances(
    references: Mapping[str, str], hypotheses: Mapping[str, str], missing_as_empty: bool
) -> None:
    if not references:
        raise ScoringError("no references to score against", expected="at least one utterance")
    if not any(text.strip() for text in references.values()):
        raise ScoringError(
            f"{len(references)} references hold no word",
            expected="at least one",
            hint="check their file",
        )
    extra = [utt_id for utt_id in hypotheses if utt_id not in references]
    if extra:
        raise ScoringError(
            f"{len(extra)} hypotheses have no reference",
            got=_some(extra),
            hint="score against the references of the same split, empty ones where nobody spoke",
        )
    missing = [utt_id for utt_id in references if utt_id not in hypotheses]
    if missing and not missing_as_empty:
        raise ScoringError(
            f"{len(missing)} of {len(references)} references have no hypothesis",
            got=f"none for {_some(missing)}",
            hint="decode them, or count missing ones as empty: --missing-as-empty of score and compare",
        )


def _some(utt_ids: list[str]) -> str:
    return ", ".join(utt_ids[:3]) + (" ..." if len(utt_ids) > 3 else "")


def _utterance_score(
    utt_id: str, reference: list[str], hypothesis: list[str], chunks: Iterable[Any]
) -> UtteranceScore:
    pairs: list[AlignedPair] = []
    for chunk in chunks:
        said = reference[chunk.ref_start_idx : chunk.ref_end_idx]
        heard = hypothesis[chunk.hyp_start_idx : chunk.hyp_end_idx]
        # A chunk has equally many words on both sides, or none on one of them.
        for index in range(max(len(said), len(heard))):
            pairs.append(AlignedPair(said[index] if said else None, heard[index] if heard else None))
    ops = [pair.op for pair in pairs]
    return UtteranceScore(
        utt_id=utt_id,
        reference=" ".join(reference),
        hypothesis=" ".join(hypothesis),
        substitutions=ops.count("S"),
        deletions=ops.count("D"),
        insertions=ops.count("I"),
        num_reference_words=len(reference),
        pairs=tuple(pairs),
    )


def kaldi_line(counts: ErrorCounts) -> str:
    """Return ``%WER 12.3 [ 123 / 1000, 10 ins, 20 del, 93 sub ]``.

    Source: the form of Kaldi's ``compute-wer``, with one decimal.
    """
    return (
        f"%WER {100 * word_error_rate(counts):.1f} [ {num_errors(counts)} / {counts.num_reference_words}, "
        f"{counts.insertions} ins, {counts.deletions} del, {counts.substitutions} sub ]"
    )


def alignment_text(utterance: UtteranceScore) -> str:
    """Return three lines, REF, HYP and OPS (S, D, I under the words that are wrong).

    Source: the form of sclite's ``pra`` listing, without its change of case.
    """
    lines = {"REF:": "", "HYP:": "", "OPS:": ""}
    for pair in utterance.pairs:
        cells = (pair.reference or GAP, pair.hypothesis or GAP, pair.op)
        width = max(cell_len(cell) for cell in cells)
        for name, cell in zip(lines, cells, strict=True):
            lines[name] += " " + cell + " " * (width - cell_len(cell))
    return "\n".join((name + line).rstrip() for name, line in lines.items())


def worst_first(result: WerResult, limit: int | None = None) -> list[UtteranceScore]:
    """Return utterances with the most errors first, and of those the highest rate first."""
    ranked = sorted(result.utterances, key=lambda utt: (-utt.num_errors, -utt.wer, utt.utt_id))
    return ranked[:limit]


def score_by_group(result: WerResult, groups: Mapping[str, str]) -> dict[str, WerResult]:
    """Split a result by what its utterances belong to, for example their speakers.

    Args:
        result: Scores of all utterances.
        groups: Name of the group by utt_id.

    Raises:
        ScoringError: For an utterance without a group.
    """
    members: dict[str, list[UtteranceScore]] = {}
    for utt in result.utterances:
        if utt.utt_id not in groups:
            raise ScoringError("utterance belongs to no group", where=utt.utt_id, hint="name its speaker")
        members.setdefault(groups[utt.utt_id], []).append(utt)
    return {name: WerResult(tuple(utterances)) for name, utterances in sorted(members.items())}
