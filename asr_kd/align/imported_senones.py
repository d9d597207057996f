"""Senones from alignments that were made elsewhere: no mixtures are trained, no transcript is searched."""

from __future__ import annotations

from collections.abc import Iterable

from asr_kd.align.deltas import add_deltas
from asr_kd.align.gmm import Array
from asr_kd.align.senones import SenoneConfig, tie_states
from asr_kd.align.triphone_statistics import TriphoneStatistics, triphone_keys
from asr_kd.align.viterbi_training import TrainingSchedule
from asr_kd.data.frame_store import FrameStore
from asr_kd.lang.hmm import Hmm


def senones_of_alignment(
    alignments: Iterable[tuple[str, Array]],
    features: FrameStore,
    monophones: Hmm,
    config: SenoneConfig,
    flat_start: TrainingSchedule,
) -> Hmm:
    """Return a model whose decision tree is built from the statistics of an alignment.

    Args:
        alignments: Pdf_ids ``[T]`` of the monophones, by utt_id.
        features: Without deltas, of the same utterances.
        monophones: The alignment's model.
        config: The tree; its schedule of mixtures is not used.
        flat_start: Gives the deltas and the variance floor.

    Raises:
        AlignmentError: When the data or the phones do not allow so many senones.

    Source: Kaldi ``acc-tree-stats`` and ``build-tree``.
    """
    schedule = config.schedule(flat_start)
    statistics = TriphoneStatistics(int(features.frames.shape[1]) * (schedule.delta_order + 1))
    for utt_id, pdf_ids in alignments:
        frames = add_deltas(features.get(utt_id), schedule.delta_order)
        statistics.add_frames(triphone_keys(pdf_ids, monophones), frames)
    hmm, _ = tie_states(statistics.sums(), monophones, config, schedule)
    return hmm
