"""A small posterior shard set that the tests write, and what is expected to come back."""

from __future__ import annotations

import torch

from asr_kd.am.checkpoint import AcousticModel
from asr_kd.data.windows import ContextWindow
from asr_kd.distill.shard_header import ShardSetFacts
from asr_kd.distill.shard_reader import ShardBatchSource
from asr_kd.distill.shard_set import open_shard_set
from asr_kd.distill.shard_writer import ShardSetWriter
from asr_kd.distill.sparse import TopK
from asr_kd.distill.targets import soft_targets
from tests.support.model_cards import frontend_card, model_card

NUM_SENONES = 11
LENGTHS = {"u.1": 9, "u.2": 30, "u.3": 1, "u.4": 17, "u.5": 12, "u.6": 25, "u.7": 3, "u.8": 21}


def facts(**changes):
    fields = {
        "averaging": "arithmetic",
        "temperature": 2.0,
        "code": TopK(k=4),
        "teachers": ("aa", "bb"),
        "frontend": {"name": "fbank", "fingerprint": "ff"},
        "cmvn": "speaker",
        "feature_dim": 3,
        "frame_shift": 0.01,
        "alignment": "al",
        "tree": "tr",
        "num_senones": NUM_SENONES,
        "prior": (1 / NUM_SENONES,) * NUM_SENONES,
        "window": {"left": 2, "right": 1},
    }
    return ShardSetFacts(**{**fields, **changes})


def utterance(number, utt_id):
    """Features that name utterance and frame, so that any mismatch shows."""
    generator = torch.Generator().manual_seed(number)
    num_frames = LENGTHS[utt_id]
    frames = torch.arange(num_frames)
    features = torch.stack(
        [torch.full((num_frames,), number), frames, torch.zeros(num_frames)], dim=1
    ).float()
    pdf_ids = (number + frames) % NUM_SENONES
    log_q = (3 * torch.randn(num_frames, NUM_SENONES, generator=generator)).log_softmax(1)
    return features, pdf_ids, log_q


def net(seed, tree="tr"):
    """A net of the set's features and senones, whose posteriors are not even."""
    card = model_card(frontend_card(3, fingerprint="ff"), NUM_SENONES, left=2, right=1, tree=tree, units=16)
    torch.manual_seed(seed)
    made = card.build_net()
    torch.nn.init.normal_(made.output.weight, std=0.3)
    return AcousticModel(made.eval(), card, str(seed))


def write(folder, the_facts=None, utt_ids=tuple(LENGTHS), shard_frames=30, labelled=True):
    with ShardSetWriter(folder, the_facts or facts(), shard_frames=shard_frames) as writer:
        for utt_id in utt_ids:
            features, pdf_ids, log_q = utterance(list(LENGTHS).index(utt_id), utt_id)
            if not writer.is_written("train", utt_id):
                writer.add("train", utt_id, features, pdf_ids if labelled else None, log_q)
        return writer.finish()


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def source(folder, **arguments):
    defaults = {"batch_size": 8, "window": ContextWindow(2, 1), "pool_frames": 40}
    return ShardBatchSource(open_shard_set(folder), ["train"], **{**defaults, **arguments})


def pairs(batches):
    """Return (utterance, frame, pdf_id, kept ids, tail) of every row."""
    rows = []
    for batch in batches:
        soft = soft_targets(batch.targets)
        centre = batch.windows[:, 2].int().tolist()
        for row, (number, frame, _) in enumerate(centre):
            kept = tuple(sorted(soft.ids[row].tolist()))
            rows.append((number, frame, int(batch.targets["pdf_ids"][row]), kept, float(soft.tail[row])))
    return rows


def expected_pairs():
    rows = []
    for number, utt_id in enumerate(LENGTHS):
        _, pdf_ids, log_q = utterance(number, utt_id)
        top = log_q.topk(4)
        for frame in range(LENGTHS[utt_id]):
            tail = 1 - float(top.values[frame].exp().sum())
            rows.append(
                (number, frame, int(pdf_ids[frame]), tuple(sorted(top.indices[frame].tolist())), tail)
            )
    return rows
