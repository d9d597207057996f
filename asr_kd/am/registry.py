"""Acoustic models by name: ``dnn``, or the user's own ``package.module:Class``."""

from __future__ import annotations

import importlib
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from torch import nn

from asr_kd.am.dnn import Dnn, DnnConfig
from asr_kd.errors import ModelError

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


def build_net(config: ArchitectureConfig, input_dim: int, window_width: int, num_senones: int) -> nn.Module:
    """Build an untrained net; its weights are drawn from torch's global generator.

    Raises:
        ModelError: For an unknown name or options that the net does not take.
    """
    if config.name == "dnn":
        try:
            options = DnnConfig(**config.options)
        except ValidationError as error:
            first = error.errors()[0]
            raise ModelError(
                f"option {'.'.join(map(str, first['loc']))}: {first['msg']}",
                where="model dnn",
                expected=f"options {', '.join(DnnConfig.model_fields)}",
            ) from None
        return Dnn(input_dim, window_width, num_senones, options)
    net_class = _import_class(config.name)
    try:
        net = net_class(input_dim, window_width, num_senones, **config.options)
    except TypeError as error:
        raise ModelError(f"cannot be built: {error}", where=f"model {config.name}") from None
    assert isinstance(net, nn.Module)
    return net


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
