"""The utterances to align: stored features and transcripts, and the count of those that fail."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from asr_kd.align.viterbi import AlignmentFailure
from asr_kd.data.frame_store import FrameStore
from asr_kd.errors import AlignmentError
from asr_kd.lang.lexicon import Lexicon

_FRAMES_IN_CHUNK = 20_000
_NUM_SHOWN = 3
_HINT = "check transcripts against audio, widen retry_beam or raise max_failed_share"


@dataclass(frozen=True)
class AlignmentCorpus:
    """Stored features and the transcripts of the utterances to align; light to send to a process.

    Attributes:
        folder: Of a :class:`FrameStore` of features float32 ``[T, D]``.
        transcripts: Words of each utterance, by utt_id.
    """

    folder: Path
    transcripts: Mapping[str, Sequence[str]]

    def open(self) -> FrameStore:
        """Return the memory-mapped features.

        Raises:
            AsrKdError: When none are stored there.
        """
        return FrameStore(self.folder)

    def check(self, lexicon: Lexicon) -> None:
        """Refuse utterances without stored features and words without a pronunciation.

        Raises:
            AlignmentError: When there are no utterances or an utterance has no features.
            LexiconError: Naming the unknown words.
        """
        store = self.open()
        if not self.transcripts:
            raise AlignmentError("there are no utterances to align", where=self.folder)
        missing = [utt_id for utt_id in self.transcripts if utt_id not in store]
        if missing:
            raise AlignmentError(
                f"{len(missing):,} of {len(self.transcripts):,} utterances have no features",
                where=self.folder,
                got=f'no features of "{missing[0]}"',
                hint="run the features stage again",
            )
        lexicon.check_words((word for words in self.transcripts.values() for word in words), "transcripts")

    def chunks(self) -> Iterator[list[str]]:
        """Yield lists of utt_ids with about equally many frames; they do not depend on who works on them."""
        store = self.open()
        chunk: list[str] = []
        num_frames = 0
        for utt_id in self.transcripts:
            first, last = store.span(utt_id)
            chunk.append(utt_id)
            num_frames += last - first
            if num_frames >= _FRAMES_IN_CHUNK:
                yield chunk
                chunk, num_frames = [], 0
        if chunk:
            yield chunk


@dataclass
class AlignmentReport:
    """How many utterances were aligned, and why the others were not.

    Attributes:
        num_aligned: Utterances that were.
        failures: Those that were tried in vain.
        unknown_words: Those of dev and test that were not tried, for the lexicon lacks some of their words:
            errors of the recogniser, which say nothing about the alignment.
    """

    num_aligned: int = 0
    failures: list[AlignmentFailure] = field(default_factory=list)
    unknown_words: list[AlignmentFailure] = field(default_factory=list)

    @property
    def num_tried(self) -> int:
        """Utterances whose words are all known."""
        return self.num_aligned + len(self.failures)

    @property
    def num_utterances(self) -> int:
        """All utterances with a transcript."""
        return self.num_tried + len(self.unknown_words)

    def summary(self) -> str:
        """Return one line, such as ``aligned 2,934 of 2,940; 4 failed; 2 with unknown words``."""
        parts = [f"aligned {self.num_aligned:,} of {self.num_utterances:,}"]
        if self.failures:
            parts.append(f"{len(self.failures):,} failed")
        if self.unknown_words:
            parts.append(f"{len(self.unknown_words):,} with unknown words")
        return "; ".join(parts)

    def lines(self) -> list[str]:
        """Return one line for each utterance that was not aligned: utt_id and reason."""
        return [f"{each.utt_id} {each.reason}" for each in (*self.unknown_words, *self.failures)]

    def check(self, max_failed_share: float, hint: str = _HINT) -> None:
        """Refuse more failures than a share of the utterances that were tried; ``hint`` says what to do then.

        Raises:
            AlignmentError: With the count and the first reasons.
        """
        if len(self.failures) <= max_failed_share * self.num_tried and self.num_aligned:
            return
        first = "; ".join(f"{failure.utt_id}: {failure.reason}" for failure in self.failures[:_NUM_SHOWN])
        raise AlignmentError(
            self.summary(),
            expected=f"at most {max_failed_share:.1%} failures",
            got=f"{len(self.failures) / max(self.num_tried, 1):.1%}, the first are {first}",
            hint=hint,
        )
