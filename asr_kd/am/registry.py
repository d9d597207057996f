"""Acoustic models by name: ``dnn``, or the user's own ``package.module:Class``."""

from __future__ import annotations

import importlib
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from torch import nn

from asr_kd.am.dnn import Dnn, DnnConfig
from asr_kd.errors import ModelError, did_you_mean

BUILT_IN = ("dnn",)


class ArchitectureConfig(BaseModel):
    """Which net and with what options.

    Attributes:
        name: ``dnn`` or ``package.module:Class``; such a class is called as
            ``Class(input_dim, window_width, num_senones, **options)`` and maps windows ``[B, W, D]``
            to logits ``[B, S]``.
        options: Keyword arguments of the net.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = "dnn"
    options: dict[str, Any] = {}


def check_options(config: ArchitectureConfig, where: str) -> None:
    """Refuse options that a built-in net does not take, before anything is trained.

    Args:
        config: Of a net; the options of a user's own are for its class to check.
        where: The setting that holds it.

    Raises:
        ModelError: For an unknown option or a wrong value, whose setting is the error's ``where``.
    """
    if config.name in BUILT_IN:
        _dnn_config(config, where)


def build_net(config: ArchitectureConfig, input_dim: int, window_width: int, num_senones: int) -> nn.Module:
    """Build an untrained net; its weights are drawn from torch's global generator.

    Raises:
        ModelError: For an unknown name or options that the net does not take.
    """
    if config.name in BUILT_IN:
        return Dnn(input_dim, window_width, num_senones, _dnn_config(config, "model"))
    net_class = _import_class(config.name)
    try:
        net = net_class(input_dim, window_width, num_senones, **config.options)
    except TypeError as error:
        raise ModelError(f"cannot be built: {error}", where=f"model {config.name}") from None
    assert isinstance(net, nn.Module)
    return net


def _dnn_config(config: ArchitectureConfig, where: str) -> DnnConfig:
    try:
        return DnnConfig(**config.options)
    except ValidationError as error:
        first = error.errors()[0]
        name, known = str(first["loc"][0]), list(DnnConfig.model_fields)
        where = f"{where}.options.{name}"
        if first["type"] == "extra_forbidden":
            raise ModelError(
                f'unknown option "{name}"',
                where=where,
                expected=f"one of {', '.join(known)}",
                hint=did_you_mean(name, known),
            ) from None
        raise ModelError(f'option "{name}": {first["msg"]}', where=where, got=first["input"]) from None


def _import_class(name: str) -> Any:
    module_name, _, class_name = name.partition(":")
    if not class_name:
        raise ModelError(
            f'unknown acoustic model "{name}"', expected=f"{', '.join(BUILT_IN)} or package.module:Class"
        )
    try:
        found = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError) as error:
        raise ModelError(f"cannot be imported: {error}", where=f"model {name}") from None
    if not (isinstance(found, type) and issubclass(found, nn.Module)):
        raise ModelError("is no torch.nn.Module class", where=f"model {name}")
    return found
