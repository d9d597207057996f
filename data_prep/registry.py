"""Find a corpus module by its short name, or the user's own by its dotted path."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asr_kd.errors import ConfigError
from data_prep.common import CorpusOptions, PreparedCorpus

BUILT_IN = (
    "quickstart",
    "yesno",
    "fsdd",
    "speechocean762",
    "librispeech",
    "timit",
    "commonvoice",
    "kaldi",
    "lhotse",
)
BUILT_IN_IMAGES = ("mnist",)


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


@dataclass(frozen=True)
class ImageModule:
    """What a module of images offers.

    Attributes:
        name: As the recipe gives it.
        options_type: The module's ``Options``.
        prepare: The module's ``prepare(corpus, out, options)``, which returns what ``corpus.json`` says.
    """

    name: str
    options_type: type[CorpusOptions]
    prepare: Callable[[Path | None, Path, CorpusOptions], dict[str, Any]]


def load_corpus_module(name: str) -> CorpusModule:
    """Return a built-in corpus of speech by its short name or a user's by ``package.module``.

    Raises:
        ConfigError: For an unknown name, and for a module that cannot be imported or lacks
            ``Options`` (a :class:`CorpusOptions`) or ``prepare``.
    """
    return CorpusModule(name, *_load(name, BUILT_IN))


def load_image_module(name: str) -> ImageModule:
    """Return a built-in corpus of images by its short name or a user's by ``package.module``.

    Raises:
        ConfigError: As :func:`load_corpus_module`.
    """
    return ImageModule(name, *_load(name, BUILT_IN_IMAGES))


def _load(name: str, built_in: Sequence[str]) -> tuple[type[CorpusOptions], Callable[..., Any]]:
    if name not in built_in and "." not in name:
        raise ConfigError(
            f'unknown corpus "{name}"',
            expected=f"{', '.join(built_in)}, or package.module of your own",
        )
    path = f"data_prep.{name}" if name in built_in else name
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
    return options_type, prepare
