"""What is stored of an ensemble's posteriors, as far as it decides what a student can be given."""

from __future__ import annotations

from dataclasses import dataclass

from asr_kd.distill.ensemble import Averaging
from asr_kd.distill.sparse import CodeConfig, make_code


@dataclass(frozen=True)
class StoredPosteriors:
    """How teachers are averaged and stored: of a shard set, or of one that settings will make.

    Attributes:
        averaging: Of the teachers' posteriors.
        weights: One a teacher; None where all count, or where they are not known yet.
        num_teachers: N.
        temperature: T of the teachers' softmax.
        code: Of the posteriors; None where a plan chooses it once there are some.
        keep_apart: Whether each teacher's own posteriors are stored beside their mean.
    """

    averaging: Averaging
    weights: tuple[float, ...] | None
    num_teachers: int
    temperature: float
    code: CodeConfig | None
    keep_apart: bool

    @property
    def num_averaged(self) -> int:
        """Teachers that have a part in the mean."""
        return self.num_teachers if self.weights is None else sum(weight > 0 for weight in self.weights)

    def code_refusal(self, power: float) -> str | None:
        """Return why the code cannot be decoded at a power other than 1, or None when it can."""
        if self.code is None:
            code = f"{{name: threshold, powers: [{power:g}]}}"
            return (
                f"the codes that ensemble.budget plans store no tails for the power T / T' = {power:g}; "
                f"give a code in its place, such as ensemble.code={code}"
            )
        # The number of senones has no part in it.
        return make_code(self.code, num_senones=1).refusal(power)
