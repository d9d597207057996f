"""A header for benchmark shards."""

from __future__ import annotations

from asr_kd.distill.shard_header import ShardSetFacts
from asr_kd.distill.sparse import CodeConfig


def benchmark_facts(num_senones: int, code: CodeConfig, feature_dim: int = 40) -> ShardSetFacts:
    """Return facts about no real teacher."""
    return ShardSetFacts(
        averaging="arithmetic",
        temperature=2.0,
        code=code,
        teachers=("synthetic",),
        frontend={"name": "synthetic"},
        cmvn="none",
        feature_dim=feature_dim,
        frame_shift=0.01,
        alignment="synthetic",
        tree="synthetic",
        num_senones=num_senones,
        prior=(1 / num_senones,) * num_senones,
        window={"left": 20, "right": 5},
    )
