"""Labels a few training utterances, to plan with."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from asr_kd.data.manifest import spread_evenly
from asr_kd.distill.ensemble import Averaging, ensemble_log_posteriors
from asr_kd.progress import track
from asr_kd.recogniser import System, feature_config
from asr_kd.stages.base import WorkDir


def sample_posteriors(
    work: WorkDir,
    system: System,
    temperature: float,
    averaging: Averaging = "arithmetic",
    weights: Sequence[float] | None = None,
    num_utterances: int = 40,
) -> list[tuple[str, Tensor]]:
    """Return the log of the teachers' averaged tempered posteriors ``[T, S]`` of some training utterances.

    Args:
        work: The work folder.
        system: The teachers.
        temperature: Of their softmax.
        averaging: Which mean is taken.
        weights: One a teacher for ``weighted``.
        num_utterances: Spread evenly over the training utterances that have frames.
    """
    inputs = {key: work.feature_store(key, "train") for key in system.frontends()}
    frame_shift = system.models[0].card.frontend.frame_shift
    rows = [row for row in work.utterances("train") if row.num_frames(frame_shift)]
    utt_ids = [row.utt_id for row in spread_evenly(rows, num_utterances)]
    sample = []
    for utt_id in track(utt_ids, "labelling a sample", len(utt_ids), "utterances"):
        logits = (model.logits(inputs[feature_config(model).key].get(utt_id)) for model in system.models)
        sample.append((utt_id, ensemble_log_posteriors(logits, temperature, averaging, weights)))
    return sample
