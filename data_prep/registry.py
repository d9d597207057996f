"""Find a corpus module by its short name, or the user's own by its dotted path."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from asr_kd.errors import ConfigError
from data_prep.common import CorpusOptions, PreparedCorpus

BUILT_IN = ("quickstart", "yesno", "fsdd", "speechocean762")


@dataclass(frozen=True)
class CorpusModule:
    """What a corpus module offers.

    Attributes:
        name: As the recipe gives it.
        options_type: The module's ``Options``.
        prepare: The module's ``prepare(corpus, out, options)``.
    """

    name: str
    options_type: type[CorpusOptions]
    prepare: Callable[[Path | None, Path, CorpusOptions], PreparedCorpus]


def load_corpus_module(name: str) -> CorpusModule:
    """Return a built-in corpus by its short name or a user's by ``package.module``.

    Raises:
        ConfigError: For an unknown name, and for a module that cannot be imported or lacks
            ``Options`` (a :class:`CorpusOptions`) or ``prepare``.
    """
    if name not in BUILT_IN and "." not in name:
        raise ConfigError(
            f'unknown corpus "{name}"',
            expected=f"{', '.join(BUILT_IN)}, or package.module of your own",
        )
    path = f"data_prep.{name}" if name in BUILT_IN else name
    try:
        module = importlib.import_module(path)
    except ImportError as error:
        raise ConfigError(
            f'corpus module "{path}" cannot be imported ({error})',
            hint="start in the folder that holds it, or install its package",
        ) from None
    options_type = getattr(module, "Options", None)
    prepare = getattr(module, "prepare", None)
    if not (isinstance(options_type, type) and issubclass(options_type, CorpusOptions) and callable(prepare)):
        raise ConfigError(
            f'"{path}" is not a corpus module',
            expected="a class Options(data_prep.common.CorpusOptions) and a function prepare",
        )
    return CorpusModule(name, options_type, prepare)
