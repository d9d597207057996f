"""The inventory of phones and their integer ids."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from asr_kd.errors import LexiconError
from asr_kd.lang.lexicon import Lexicon

SILENCE = "SIL"
UTTERANCE_EDGE = 0
"""Context id where there is no phone to the left or right."""

_NUM_SHOWN = 60


@dataclass(frozen=True)
class PhoneSet:
    """Phones in the order of their ids, the silence phone first.

    Attributes:
        phones: Names; the id of ``phones[i]`` is ``i + 1``, since 0 is epsilon in every FST.
        silence: Name of the silence phone, which is ``phones[0]``.

    Raises:
        LexiconError: When a phone is there twice or silence is not the first.
    """

    phones: tuple[str, ...]
    silence: str = SILENCE
    _ids: dict[str, int] = field(init=False, repr=False, compare=False, hash=False)

    def __post_init__(self) -> None:
        if not self.phones or self.phones[0] != self.silence:
            raise LexiconError(
                "the first phone of a phone set is silence",
                expected=f'"{self.silence}" as the first phone',
                got=f'"{self.phones[0]}"' if self.phones else "no phones",
            )
        ids = {phone: number for number, phone in enumerate(self.phones, start=1)}
        if len(ids) != len(self.phones):
            doubled = sorted(phone for phone in ids if self.phones.count(phone) > 1)
            raise LexiconError(f"phones are in the phone set twice: {', '.join(doubled)}")
        object.__setattr__(self, "_ids", ids)

    @classmethod
    def from_lexicon(cls, lexicon: Lexicon, silence: str = SILENCE) -> PhoneSet:
        """Return silence and the sorted phones of a lexicon."""
        return cls((silence, *(phone for phone in lexicon.phones if phone != silence)), silence)

    def __len__(self) -> int:
        return len(self.phones)

    def __contains__(self, phone: object) -> bool:
        return phone in self._ids

    @property
    def silence_id(self) -> int:
        """Id of the silence phone."""
        return 1

    def phone_id(self, phone: str, *, hint: str = "add it there or fix the lexicon entry") -> int:
        """Return the id of a phone, 1 or more.

        Args:
            phone: Its name.
            hint: What to do when it is not in the set.

        Raises:
            LexiconError: When the phone is not in the set.
        """
        if phone not in self._ids:
            names = ", ".join(self.phones[:_NUM_SHOWN]) + (" ..." if len(self) > _NUM_SHOWN else "")
            raise LexiconError(
                f'phone "{phone}" is not in the phone set',
                expected=f"one of {names}",
                hint=hint,
            )
        return self._ids[phone]

    def phone(self, phone_id: int) -> str:
        """Return the name of a phone id, 1 or more."""
        assert 1 <= phone_id <= len(self), f"phone id {phone_id} of {len(self)}"
        return self.phones[phone_id - 1]

    def to_json(self) -> dict[str, Any]:
        """Return the set as a JSON-like value."""
        return {"phones": list(self.phones), "silence": self.silence}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> PhoneSet:
        """Return the set that :meth:`to_json` described."""
        return cls(tuple(value["phones"]), value["silence"])
