"""One pass of Viterbi training over a chunk of utterances: align or not, then accumulate."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from asr_kd.align.corpus import AlignmentCorpus
from asr_kd.align.equal import align_equal
from asr_kd.align.gmm import Array, DiagGmm
from asr_kd.align.gmm_training import GmmStatistics, accumulate
from asr_kd.align.lda import ClassStatistics
from asr_kd.align.mllt import MlltStatistics
from asr_kd.align.segments import visit_counts
from asr_kd.align.spliced import SplicedTransform, mixture_features
from asr_kd.align.triphone_statistics import (
    TriphoneStatistics,
    TriphoneSums,
    convert_alignment,
    triphone_keys,
)
from asr_kd.align.viterbi import Aligner, AlignmentConfig, AlignmentFailure, transcript_pdf_ids
from asr_kd.errors import AlignmentError
from asr_kd.lang.hmm import Hmm
from asr_kd.lang.lexicon import Lexicon

NOT_ALIGNED = -1


class Pass(enum.Enum):
    """Where the alignment of a pass comes from."""

    EQUAL = "equal"
    ALIGN = "align"
    KEEP = "keep"
    COUNT = "count"
    """Align, and count triphones too."""
    CONVERT = "convert"
    """Keep the alignment with another tree, in that model's senones."""
    CLASSES = "classes"
    """Keep the alignment, and sum frames by senone."""
    MLLT = "mllt"
    """Keep the alignment, and sum what a linear transform is estimated from."""

    @property
    def aligns(self) -> bool:
        """Whether the pass makes an alignment, which may fail."""
        return self in {Pass.EQUAL, Pass.ALIGN, Pass.COUNT}


@dataclass(frozen=True)
class Task:
    """A chunk of utterances and the model to treat it with.

    Attributes:
        kind: What to do.
        utt_ids: The utterances.
        gmm: The mixtures.
        hmm: Their model.
        source_hmm: The model of a kept alignment that is converted.
        transform: What makes features from stored ones; deltas where it is None.
    """

    kind: Pass
    utt_ids: list[str]
    gmm: DiagGmm
    hmm: Hmm
    source_hmm: Hmm | None = None
    transform: SplicedTransform | None = None


@dataclass
class ChunkResult:
    """What a chunk adds to a pass.

    Attributes:
        statistics: Of the mixtures.
        num_frames: Aligned frames of each pdf ``[S]``.
        num_visits: Visits to each pdf ``[S]``.
        num_aligned: Aligned utterances.
        failures: The others.
        triphones: Sums over the states of each triphone, when they are counted.
        classes: Sums over the frames of each senone, silence left out, when they are asked for.
        mllt: Statistics of a linear transform, silence left out, when they are asked for.
    """

    statistics: GmmStatistics
    num_frames: Array
    num_visits: Array
    num_aligned: int = 0
    failures: list[AlignmentFailure] = field(default_factory=list)
    triphones: TriphoneSums | None = None
    classes: ClassStatistics | None = None
    mllt: MlltStatistics | None = None


class PassWorker:
    """Runs tasks; the alignment between two passes lies in a file that all workers share.

    Args:
        corpus: Features and transcripts.
        lexicon: Pronunciations.
        alignment: Beams and silence.
        acoustic_scale: Factor on log-likelihoods in the search.
        delta_order: Deltas that are added to the stored features.
        pdf_ids_file: A ``.npy`` of one int32 for each stored frame, below 0 where nothing is aligned.
    """

    def __init__(
        self,
        corpus: AlignmentCorpus,
        lexicon: Lexicon,
        alignment: AlignmentConfig,
        acoustic_scale: float,
        delta_order: int,
        pdf_ids_file: Path,
    ) -> None:
        self._transcripts = corpus.transcripts
        self._store = corpus.open()
        self._lexicon = lexicon
        self._alignment = alignment
        self._acoustic_scale = acoustic_scale
        self._delta_order = delta_order
        self._pdf_ids: np.ndarray[Any, Any] = np.load(pdf_ids_file, mmap_mode="r+", allow_pickle=False)

    def __call__(self, task: Task) -> ChunkResult:
        num_pdfs = task.hmm.num_pdfs
        result = ChunkResult(
            GmmStatistics.zeros(task.gmm.num_gaussians, task.gmm.dim),
            np.zeros(num_pdfs, dtype=np.int64),
            np.zeros(num_pdfs, dtype=np.int64),
        )
        aligner = Aligner(self._lexicon, task.hmm, self._alignment)
        all_features, all_pdf_ids = [], []
        for utt_id in task.utt_ids:
            features = mixture_features(self._store.get(utt_id), self._delta_order, task.transform)
            pdf_ids = self._pdf_ids_of(utt_id, features, task, aligner)
            if isinstance(pdf_ids, AlignmentFailure):
                result.failures.append(pdf_ids)
                continue
            result.num_aligned += 1
            result.num_frames += np.bincount(pdf_ids, minlength=num_pdfs)
            result.num_visits += visit_counts(pdf_ids, num_pdfs)
            all_features.append(features)
            all_pdf_ids.append(pdf_ids)
        if all_pdf_ids:
            _add_sums(task, all_features, all_pdf_ids, result)
        return result

    def _pdf_ids_of(
        self, utt_id: str, features: Array, task: Task, aligner: Aligner
    ) -> Array | AlignmentFailure:
        stored = self._pdf_ids[slice(*self._store.span(utt_id))]
        if not task.kind.aligns:
            if not len(stored) or stored[0] == NOT_ALIGNED:
                return AlignmentFailure(utt_id, "not aligned before")
            if task.kind is Pass.CONVERT:
                assert task.source_hmm is not None, "a kept alignment has a model"
                stored[:] = convert_alignment(stored, task.source_hmm, task.hmm)
            return stored
        words = self._transcripts[utt_id]
        pdf_ids: Array | AlignmentFailure | None = aligner.failure_before_search(utt_id, words, len(features))
        if pdf_ids is None and task.kind is Pass.EQUAL:
            _refuse_what_is_not_finite(utt_id, features)
            pdf_ids = align_equal(
                utt_id, words, len(features), self._lexicon, task.hmm, self._alignment.silence_probability
            )
        elif pdf_ids is None:
            pdf_ids = aligner.align(utt_id, words, self._scores(words, features, task))
        assert pdf_ids is not None, "an utterance of the shortest duration can be aligned equally"
        stored[:] = NOT_ALIGNED if isinstance(pdf_ids, AlignmentFailure) else pdf_ids
        return pdf_ids

    def _scores(self, words: Sequence[str], features: Array, task: Task) -> Array:
        """Return scaled log-likelihoods ``[T, S]``; pdfs outside the transcript are not computed."""
        pdf_ids = transcript_pdf_ids(words, self._lexicon, task.hmm)
        scores = np.full((len(features), task.hmm.num_pdfs), -np.inf, dtype=np.float32)
        scores[:, pdf_ids] = task.gmm.log_likelihoods(features, pdf_ids) * self._acoustic_scale
        return scores


def _add_sums(task: Task, all_features: list[Array], all_pdf_ids: list[Array], result: ChunkResult) -> None:
    """Add what a pass of this kind sums over the frames of a chunk."""
    features, pdf_ids = np.concatenate(all_features), np.concatenate(all_pdf_ids)
    if task.kind is Pass.CLASSES:
        speech = _is_speech(pdf_ids, task.hmm)
        result.classes = ClassStatistics.zeros(task.hmm.num_pdfs, features.shape[1])
        result.classes.add_frames(features[speech], pdf_ids[speech])
        return
    if task.kind is Pass.MLLT:
        speech = _is_speech(pdf_ids, task.hmm)
        result.mllt = MlltStatistics.zeros(task.gmm.dim)
        result.mllt.add_frames(task.gmm, features[speech], pdf_ids[speech])
        return
    accumulate(task.gmm, features, pdf_ids, result.statistics)
    if task.kind is Pass.COUNT:
        triphones = TriphoneStatistics(task.gmm.dim)
        for rows, ids in zip(all_features, all_pdf_ids, strict=True):
            triphones.add_frames(triphone_keys(ids, task.hmm), rows)
        result.triphones = triphones.sums()


def _is_speech(pdf_ids: Array, hmm: Hmm) -> Array:
    """Return of each frame whether it is no silence, bool ``[T]``."""
    silence_id = hmm.phone_set.silence_id
    is_speech = [hmm.tree.phone_and_state(pdf_id)[0] != silence_id for pdf_id in range(hmm.num_pdfs)]
    return np.array(is_speech)[pdf_ids]


def _refuse_what_is_not_finite(utt_id: str, features: Array) -> None:
    frames = np.flatnonzero(~np.isfinite(features).all(axis=1))
    if len(frames):
        raise AlignmentError(
            "features are not finite",
            where=utt_id,
            got=f"NaN or infinity in frame {frames[0]}",
            hint="check the audio and the aligner's frontend",
        )
