"""Settings laid over other settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel

from asr_kd.am.registry import ArchitectureConfig
from asr_kd.train.config import TrainConfig

Config = TypeVar("Config", ArchitectureConfig, TrainConfig)


@dataclass(frozen=True)
class ChangesTo:
    """Validates settings that will be laid over others, so that a wrong one is found where it stands.

    Attributes:
        settings: Class of those others; all of its fields have defaults.
    """

    settings: type[BaseModel]

    def __call__(self, changes: dict[str, Any]) -> dict[str, Any]:
        """Return the changes as they are.

        Raises:
            ValidationError: For an unknown setting or a wrong value.
        """
        self.settings.model_validate(changes)
        return changes


ModelChanges = Annotated[dict[str, Any], AfterValidator(ChangesTo(ArchitectureConfig))]
"""What a net has differently from another."""

TrainChanges = Annotated[dict[str, Any], AfterValidator(ChangesTo(TrainConfig))]
"""What a net trains with differently from another."""


def updated(config: Config, changes: Mapping[str, Any] | None) -> Config:
    """Return a validated copy with some settings changed; what is nested is :func:`merged`."""
    if not changes:
        return config
    # dict, not model_dump: some settings are left out of dumps, for they identify nothing.
    base = {name: dict(value) if isinstance(value, BaseModel) else value for name, value in config}
    return type(config).model_validate(merged(base, changes))


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested settings with others laid over them.

    What belongs to a name does not stay under another one: the settings of a posterior ``code``, which stand
    beside its name, and the ``options`` of a frontend or a net, where the changes bring others. Where they
    bring the name alone, the options stay.
    """
    result = dict(base)
    for key, value in changes.items():
        old = result.get(key)
        if key == "frontend" and isinstance(old, str):  # a recipe may give its name alone
            old = {"name": old}
        if not isinstance(old, Mapping) or not isinstance(value, Mapping):
            result[key] = value
        elif (key == "code" and _name_differs(old, value)) or (
            key == "options" and _name_differs(base, changes)
        ):
            result[key] = dict(value)
        else:
            result[key] = merged(old, value)
    return result


def _name_differs(base: Mapping[str, Any], changes: Mapping[str, Any]) -> bool:
    return "name" in base and "name" in changes and base["name"] != changes["name"]
