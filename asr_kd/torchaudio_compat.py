"""Import torchaudio beside a CPU-only torch, whose extension library cannot be loaded there.

torchaudio's wheel carries an extension that is linked against CUDA. Beside a CPU build of torch its
load fails (``OSError``), and with another torch it may refuse its version (``RuntimeError``); the
Python part, which is all that asr_kd uses, needs neither.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any


def import_torchaudio() -> Any:
    """Return the torchaudio module; its compiled extension is left out where it cannot be loaded."""
    try:
        return importlib.import_module("torchaudio")
    except (OSError, RuntimeError):
        _forget_half_imported()
        sys.modules["torchaudio._extension"] = _extension_stub()
        return importlib.import_module("torchaudio")


def _forget_half_imported() -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "torchaudio"]:
        del sys.modules[name]


def _extension_stub() -> ModuleType:
    stub = ModuleType("torchaudio._extension")
    stub.__dict__["_IS_TORCHAUDIO_EXT_AVAILABLE"] = False
    stub.__dict__["_IS_ALIGN_AVAILABLE"] = False
    stub.__dict__["fail_if_no_align"] = _without_extension
    return stub


def _without_extension(function: Any) -> Any:
    def refuse(*args: object, **kwargs: object) -> None:
        raise RuntimeError(f"{function.__name__} needs torchaudio's extension, which is not loaded")

    return refuse
