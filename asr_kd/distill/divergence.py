"""How far a net is from what it was to learn: its cross entropy against the targets' own entropy.

On the frames that it learnt the difference tells what its size and training left undone, on others also what
the learnt frames did not teach. Of sampled targets the cross entropy alone is known.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from asr_kd.am.checkpoint import AcousticModel
from asr_kd.distill.sampled_code import SampledCode
from asr_kd.distill.shard_sample import StoredUtterance
from asr_kd.distill.shard_set import ShardSet
from asr_kd.distill.soft_cross_entropy import soft_cross_entropy_rows
from asr_kd.distill.targets import SoftTargets
from asr_kd.errors import ShardError


@dataclass(frozen=True)
class Divergence:
    """Of a net on some frames; means in nats, at the targets' temperature.

    Attributes:
        num_frames: Frames that were looked at.
        entropy: Of the targets: what no net can be better than. None of sampled ones: a draw has far less
            than the row that it stands for.
        cross_entropy: Of the net against them.
        agreement: Share of frames whose most probable senone is the targets'. None of sampled ones, which may
            lack it.
        accuracy: Share of labelled frames whose most probable senone is the label; None without labels.
    """

    num_frames: int
    entropy: float | None
    cross_entropy: float
    agreement: float | None
    accuracy: float | None

    @property
    def divergence(self) -> float | None:
        """``KL(q_T || p_T)``, a tail counted as one class; None where the entropy is."""
        return None if self.entropy is None else self.cross_entropy - self.entropy


def split_divergence(shard_set: ShardSet, split: str, model: AcousticModel, max_frames: int) -> Divergence:
    """Return how far a net is from a split's targets.

    Args:
        shard_set: With features of the net's frontend.
        split: Of the shard set, all of its views.
        model: The net.
        max_frames: Enough for a figure; the first utterances in the order in which they were written.

    Raises:
        ShardError: For another frontend or senone inventory than the net's.
    """
    _check(shard_set, model)
    entropy, cross_entropy, agreed, right, labelled, total = 0.0, 0.0, 0, 0, 0, 0
    for utterance in _utterances(shard_set, split, max_frames):
        soft = shard_set.code.decode(utterance.targets, len(utterance))
        logits = model.logits(np.asarray(utterance.features, dtype=np.float32)).cpu()
        best = logits.argmax(1)
        entropy += float(target_entropy(soft).sum())
        cross_entropy += float(
            soft_cross_entropy_rows(logits / shard_set.header.temperature, soft).loss.sum()
        )
        agreed += int((best == soft.likeliest()).sum())
        total += len(utterance)
        if utterance.pdf_ids is not None:
            labels = torch.from_numpy(np.asarray(utterance.pdf_ids, dtype=np.int64))
            right += int((best == labels).sum())
            labelled += len(utterance)
    if not total:
        raise ShardError(f"no frames in {split}", where=shard_set.location)
    accuracy = right / labelled if labelled else None
    if isinstance(shard_set.code, SampledCode):
        return Divergence(total, None, cross_entropy / total, None, accuracy)
    return Divergence(total, entropy / total, cross_entropy / total, agreed / total, accuracy)


def target_entropy(soft: SoftTargets) -> Tensor:
    """Return the entropy of each row in nats ``[B]``, its tail counted as one class.

    A sampled row's is not that of the row that it was drawn from.
    """
    entropy: Tensor = torch.special.entr(soft.probs.float()).sum(1)
    if soft.tail is not None:
        entropy = entropy + torch.special.entr(soft.tail.float().clamp_min(0))
    return entropy


def _utterances(shard_set: ShardSet, split: str, max_frames: int) -> Iterator[StoredUtterance]:
    taken = 0
    for shard in shard_set.shards([split]):
        for utterance in shard_set.read(shard):
            yield utterance
            taken += len(utterance)
            if taken >= max_frames:
                return


def _check(shard_set: ShardSet, model: AcousticModel) -> None:
    header = shard_set.header
    for field, expected, got in (
        ("frontend.fingerprint", model.card.frontend.fingerprint, header.frontend.get("fingerprint")),
        ("tree", model.card.tree_fingerprint, header.tree),
    ):
        if expected != got:
            raise ShardError(
                f"header field {field} is not the net's",
                where=shard_set.location,
                expected=expected,
                got=got,
                hint="take the shards that the net learnt from, or others of the same features and senones",
            )
