"""Codes for stored posteriors behind one interface, chosen by name in the recipe."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Protocol

from pydantic import Field
from torch import Tensor

from asr_kd.distill.bits import Data
from asr_kd.distill.damage import Damage
from asr_kd.distill.dense_code import Dense, DenseCode
from asr_kd.distill.kept_code import KeptCode, Nucleus, Threshold, TopK
from asr_kd.distill.row_encoder import RowEncoder
from asr_kd.distill.sampled_code import Sampled, SampledCode
from asr_kd.distill.targets import SoftTargets

CodeConfig = Annotated[Dense | TopK | Nucleus | Threshold | Sampled, Field(discriminator="name")]
"""What a recipe says about a code: ``{name: topk, k: 20}``."""


class PosteriorCode(Protocol):
    """Turns one utterance's posteriors into bytes and back."""

    @property
    def max_kept(self) -> int:
        """K, columns of the decoded targets; S for dense."""

    def encode(self, log_q: Tensor, key: str) -> bytes:
        """Return the bytes of log posteriors ``[T, S]``; ``key`` seeds what is random."""

    def rows(self) -> RowEncoder:
        """Return an encoder of the rows of several utterances; its bytes are those of :meth:`encode`."""

    def refusal(self, power: float) -> str | None:
        """Return why posteriors cannot be decoded at a power, or None when they can."""

    def decode(self, data: Data, num_frames: int, power: float = 1.0) -> SoftTargets:
        """Return targets of T frames: float16 probs, int16 or int32 ids.

        Args:
            data: What :meth:`encode` returned.
            num_frames: T.
            power: The posteriors are raised to it and normalised; one that has no :meth:`refusal`.

        Raises:
            ValueError: When the bytes are not those of ``num_frames`` frames in this code.
        """

    def decode_batch(
        self,
        data: Sequence[Data],
        lengths: Sequence[int],
        power: float = 1.0,
        damage: Damage | None = None,
    ) -> SoftTargets:
        """Return the targets of several utterances, one after another: faster than one by one.

        The targets are the same, bit for bit, on every device, but for those of ``dense`` at another power.

        Args:
            data: What :meth:`encode` returned for each.
            lengths: T of each.
            power: As in :meth:`decode`.
            damage: Tells the device to decode on; what is wrong with values is noted there, not raised.

        Raises:
            ValueError: When some bytes are not those of their number of frames.
        """


def make_code(config: CodeConfig, num_senones: int) -> PosteriorCode:
    """Return the code of a config for an inventory of S senones."""
    if isinstance(config, Dense):
        return DenseCode(config, num_senones)
    if isinstance(config, Sampled):
        return SampledCode(config, num_senones)
    return KeptCode(config, num_senones)


def code_text(config: CodeConfig) -> str:
    """Return a code with its parameters as a few words."""
    fields = config.model_dump()
    return " ".join([str(fields.pop("name")), *(f"{key}={value}" for key, value in fields.items())])
