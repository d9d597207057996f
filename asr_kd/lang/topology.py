"""The shape of a phone's hidden Markov model."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from asr_kd.errors import ConfigError


@dataclass(frozen=True)
class HmmTopology:
    """Left-to-right states with self-loops and no skips, so a phone lasts one frame a state at least.

    Attributes:
        num_states: Of each phone but silence; whole-word models want more.
        silence_num_states: Of the silence phone.
    """

    num_states: int = 3
    silence_num_states: int = 3

    def __post_init__(self) -> None:
        if self.num_states < 1 or self.silence_num_states < 1:
            raise ConfigError(
                "an HMM has no states",
                expected="num_states and silence_num_states of 1 or more",
                got=f"{self.num_states} and {self.silence_num_states}",
            )

    def states_of(self, is_silence: bool) -> int:
        """Return the number of states of silence or of another phone."""
        return self.silence_num_states if is_silence else self.num_states

    def to_json(self) -> dict[str, Any]:
        """Return the topology as a JSON-like value."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> HmmTopology:
        """Return the topology that :meth:`to_json` described."""
        return cls(**value)
