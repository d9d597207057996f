"""Settings laid over other settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from asr_kd.am.registry import ArchitectureConfig
from asr_kd.train.config import TrainConfig

Config = TypeVar("Config", ArchitectureConfig, TrainConfig)


def updated(config: Config, changes: Mapping[str, Any] | None) -> Config:
    """Return a validated copy with some settings changed; ``options`` are merged."""
    if not changes:
        return config
    # dict, not model_dump: some settings are left out of dumps, for they identify nothing.
    return type(config).model_validate(merged(dict(config), changes))


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested settings with others laid over them."""
    result = dict(base)
    for key, value in changes.items():
        old = result.get(key)
        result[key] = merged(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return result
