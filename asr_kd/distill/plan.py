"""Predicts size and error of several codes from a sample of posteriors, and picks one for a budget."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor

from asr_kd.distill.dense_code import Dense
from asr_kd.distill.kept_code import Nucleus, Threshold, TopK
from asr_kd.distill.quality import compare_rows
from asr_kd.distill.sampled_code import Sampled
from asr_kd.distill.sparse import CodeConfig, make_code
from asr_kd.errors import ShardError

Sample = Sequence[tuple[str, Tensor]]
"""Utterances with their log posteriors ``[T, S]``."""

DEFAULT_CODES: tuple[CodeConfig, ...] = (
    Dense(),
    *(TopK(k=k) for k in (8, 16, 24, 32, 48, 64)),
    *(Nucleus(p=p, k=96) for p in (0.8, 0.9, 0.95)),
    *(Threshold(least=least, k=96) for least in (0.02, 0.01, 0.005, 0.0025, 0.001)),
    *(Sampled(k=k) for k in (16, 32, 48)),
)
"""What a plan compares when nothing else is asked for."""


class Budget(BaseModel):
    """What a recipe allows; at least one of the two bounds.

    Attributes:
        max_bytes_per_frame: Of the targets, ids and tails included.
        max_divergence: Mean KL(dense || decoded) in nats.
        unbiased: Take sampled codes alone, whose expectation is the dense row.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_bytes_per_frame: float | None = Field(default=None, gt=0)
    max_divergence: float | None = Field(default=None, gt=0)
    unbiased: bool = False

    @model_validator(mode="after")
    def _needs_a_bound(self) -> Budget:
        if self.max_bytes_per_frame is None and (self.max_divergence is None or self.unbiased):
            raise ValueError(
                "a budget needs max_bytes_per_frame, or max_divergence of a code that is not sampled"
            )
        return self


@dataclass(frozen=True)
class CodeEstimate:
    """What one code does to the sample.

    Attributes:
        config: The code.
        bytes_per_frame: Of the targets.
        divergence: Mean KL(dense || decoded) in nats.
        divergence_p99: Its 99th percentile over frames.
        total_variation: Mean.
        top1_agreement: Share of frames whose most probable senone stays the same.
        mass_kept: Mean dense mass of the kept senones.
        senones_kept: Mean number of them.
        encode_rate: Frames a second, one process.
        decode_rate: Frames a second, one process.
    """

    config: CodeConfig
    bytes_per_frame: float
    divergence: float
    divergence_p99: float
    total_variation: float
    top1_agreement: float
    mass_kept: float
    senones_kept: float
    encode_rate: float
    decode_rate: float

    def total_bytes(self, num_frames: int) -> float:
        """Return the predicted size of the targets of some frames."""
        return self.bytes_per_frame * num_frames

    def writing_seconds(self, num_frames: int) -> float:
        """Return the predicted time of encoding some frames, without the teachers' own."""
        return num_frames / self.encode_rate


def estimate_code(config: CodeConfig, sample: Sample, prior: Tensor | None = None) -> CodeEstimate:
    """Return what a code does to a sample of posteriors.

    Args:
        config: The code.
        sample: Utterances with their log posteriors ``[T, S]``.
        prior: ``[S]``, in whose proportion a tail is spread for the comparison.
    """
    assert sample
    code = make_code(config, sample[0][1].shape[1])
    qualities, kept = [], []
    num_bytes, encoding, decoding = 0, 0.0, 0.0
    for utt_id, log_q in sample:
        start = time.perf_counter()
        data = code.encode(log_q, utt_id)
        middle = time.perf_counter()
        soft = code.decode(data, len(log_q))
        decoding += time.perf_counter() - middle
        encoding += middle - start
        num_bytes += len(data)
        qualities.append(compare_rows(log_q, soft, prior))
        kept.append((soft.probs > 0).sum(1).double())
    num_frames = sum(len(log_q) for _, log_q in sample)
    divergence = torch.cat([quality.divergence for quality in qualities]).double()
    return CodeEstimate(
        config=config,
        bytes_per_frame=num_bytes / num_frames,
        divergence=float(divergence.mean()),
        divergence_p99=float(divergence.quantile(0.99)) if num_frames < 10_000_000 else math.nan,
        total_variation=float(torch.cat([quality.total_variation for quality in qualities]).mean()),
        top1_agreement=float(torch.cat([quality.agrees for quality in qualities]).double().mean()),
        mass_kept=float(torch.cat([quality.mass_kept for quality in qualities]).mean()),
        senones_kept=float(torch.cat(kept).mean()),
        encode_rate=num_frames / encoding,
        decode_rate=num_frames / decoding,
    )


def make_plan(
    sample: Sample, codes: Sequence[CodeConfig] = DEFAULT_CODES, prior: Tensor | None = None
) -> list[CodeEstimate]:
    """Return the estimates of several codes, smallest first."""
    estimates = [estimate_code(config, sample, prior) for config in codes]
    return sorted(estimates, key=lambda estimate: estimate.bytes_per_frame)


def choose(estimates: Sequence[CodeEstimate], budget: Budget) -> CodeEstimate:
    """Return the estimate that a budget allows and that is best within it.

    With a bound on bytes the best is that of least divergence (of sampled codes: of least total variation);
    with a bound on divergence alone, the smallest.

    Raises:
        ShardError: When none fits, naming the nearest one.
    """
    pool = [estimate for estimate in estimates if isinstance(estimate.config, Sampled) == budget.unbiased]
    size, divergence = budget.max_bytes_per_frame, budget.max_divergence
    fitting = [
        estimate
        for estimate in pool
        if (size is None or estimate.bytes_per_frame <= size)
        and (budget.unbiased or divergence is None or estimate.divergence <= divergence)
    ]
    if not fitting:
        least_bytes = min(pool, key=lambda estimate: estimate.bytes_per_frame, default=None)
        raise ShardError(
            "no code fits the budget",
            expected=budget.model_dump(exclude_none=True),
            got=least_bytes and f"{least_bytes.bytes_per_frame:.1f} B/frame at least ({least_bytes.config})",
            hint="raise the budget, or name a code",
        )
    if size is None:
        return min(fitting, key=lambda estimate: estimate.bytes_per_frame)
    return min(fitting, key=lambda e: e.total_variation if budget.unbiased else e.divergence)


def fit_code(
    config_at: Callable[[int], CodeConfig], sample: Sample, max_bytes: float, most: int
) -> CodeConfig | None:
    """Return the largest code of a family within a size, found by bisection; None when none is.

    Args:
        config_at: The family, by a number from 1 to ``most``, growing in size.
        sample: Utterances with their log posteriors.
        max_bytes: Bytes a frame.
        most: The largest number.
    """
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        if _size(config_at(middle), sample) <= max_bytes:
            low = middle
        else:
            high = middle - 1
    return config_at(low) if low else None


def _size(config: CodeConfig, sample: Sample) -> float:
    code = make_code(config, sample[0][1].shape[1])
    num_bytes = sum(len(code.encode(log_q, utt_id)) for utt_id, log_q in sample)
    return num_bytes / sum(len(log_q) for _, log_q in sample)
