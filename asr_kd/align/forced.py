"""Forced alignment of a corpus with any scorer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from asr_kd.align.corpus import AlignmentCorpus, AlignmentReport
from asr_kd.align.gmm import Array, DiagGmm
from asr_kd.align.pool import worker_pool
from asr_kd.align.spliced import SplicedTransform, mixture_features
from asr_kd.align.viterbi import Aligner, AlignmentConfig, AlignmentFailure, transcript_pdf_ids
from asr_kd.lang.hmm import Hmm
from asr_kd.lang.lexicon import Lexicon
from asr_kd.progress import progress

Scorer = Callable[[str, Array], Array]
"""From utt_id and stored features ``[T, D]`` to scaled log-likelihoods float32 ``[T, S]``."""


@dataclass(frozen=True)
class GmmScorer:
    """Scores stored features with Gaussian mixtures.

    Attributes:
        gmm: Trained on features with deltas.
        acoustic_scale: Factor on the log-likelihoods.
        delta_order: Of the deltas that are added to the stored features.
        transform: Takes the place of the deltas.
    """

    gmm: DiagGmm
    acoustic_scale: float = 0.1
    delta_order: int = 2
    transform: SplicedTransform | None = None

    def __call__(self, utt_id: str, features: Array) -> Array:
        """Return scaled log-likelihoods, float32 ``[T, S]``."""
        scores = self.gmm.log_likelihoods(mixture_features(features, self.delta_order, self.transform))
        scores *= self.acoustic_scale
        return scores

    def of_pdfs(self, features: Array, pdf_ids: Array) -> Array:
        """Return the same for some pdfs (different, ascending), and minus infinity for the others."""
        scores = np.full((len(features), self.gmm.num_pdfs), -np.inf, dtype=np.float32)
        seen = mixture_features(features, self.delta_order, self.transform)
        chosen = self.gmm.log_likelihoods(seen, pdf_ids)
        scores[:, pdf_ids] = chosen * np.float32(self.acoustic_scale)
        return scores


def align_corpus(
    corpus: AlignmentCorpus,
    scorer: Scorer,
    lexicon: Lexicon,
    hmm: Hmm,
    config: AlignmentConfig,
    report: AlignmentReport,
    num_processes: int = 1,
) -> Iterator[tuple[str, Array]]:
    """Yield utt_id and pdf_ids int32 ``[T]`` of each utterance that can be aligned, in the corpus's order.

    Args:
        corpus: Features and transcripts.
        scorer: Mixtures or a net. With more than one process it is sent to each of them, so a net that
            uses all cores, or a GPU, is better run with one.
        lexicon: Pronunciations.
        hmm: Phones, states and transitions.
        config: Beams, silence and the share of utterances that may fail.
        report: Counts what is aligned and what fails.
        num_processes: Worker processes; 1 works in this one.

    Raises:
        AlignmentError: After the last utterance, when more than ``config.max_failed_share`` failed.
        LexiconError: Before the first, for words without a pronunciation.
    """
    corpus.check(lexicon)
    arguments = (corpus, scorer, Aligner(lexicon, hmm, config))
    with (
        progress("aligning", len(corpus.transcripts), "utterances") as meter,
        worker_pool(num_processes, _ForcedAlignment, *arguments) as run,
    ):
        for results in run(corpus.chunks()):
            for utt_id, result in results:
                if isinstance(result, AlignmentFailure):
                    report.failures.append(result)
                else:
                    report.num_aligned += 1
                    yield utt_id, result
            meter.advance(len(results))
    report.check(config.max_failed_share)


class _ForcedAlignment:
    """Aligns a chunk of utterances."""

    def __init__(self, corpus: AlignmentCorpus, scorer: Scorer, aligner: Aligner) -> None:
        self._transcripts = corpus.transcripts
        self._store = corpus.open()
        self._scorer = scorer
        self._aligner = aligner

    def __call__(self, chunk: list[str]) -> list[tuple[str, Array | AlignmentFailure]]:
        return [(utt_id, self._align(utt_id)) for utt_id in chunk]

    def _align(self, utt_id: str) -> Array | AlignmentFailure:
        words = self._transcripts[utt_id]
        features = self._store.get(utt_id)
        failure = self._aligner.failure_before_search(utt_id, words, len(features))
        return failure or self._aligner.align(utt_id, words, self._scores(utt_id, words, features))

    def _scores(self, utt_id: str, words: Sequence[str], features: Array) -> Array:
        """Return scaled log-likelihoods ``[T, S]``.

        Of thousands of senones a transcript needs a hundred, so mixtures score those alone.
        """
        hmm = self._aligner.hmm
        if isinstance(self._scorer, GmmScorer) and hmm.tree.context_width > 1:
            return self._scorer.of_pdfs(features, transcript_pdf_ids(words, self._aligner.lexicon, hmm))
        return self._scorer(utt_id, features)
