"""Load a frontend by its short name or by ``package.module:Class``."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any, cast

from pydantic import ValidationError

from asr_kd.errors import FrontendError
from asr_kd.frontend.protocol import Frontend, FrontendSpec

BUILT_IN: Mapping[str, str] = MappingProxyType(
    {
        "fbank": "asr_kd.frontend.torchaudio_fbank:TorchaudioFbank",
        "mfcc": "asr_kd.frontend.mfcc:Mfcc",
        "librosa_logmel": "asr_kd.frontend.librosa_logmel:LibrosaLogMel",
    }
)
"""Short names of the frontends that come with the package; the first is the default."""

_NO_OPTIONS: Mapping[str, Any] = MappingProxyType({})


def load_frontend(
    name: str = "fbank", options: Mapping[str, Any] = _NO_OPTIONS, search_path: Path | None = None
) -> Frontend:
    """Return a frontend.

    Args:
        name: A short name of ``BUILT_IN``, or ``package.module:Class``.
        options: Keyword arguments of the class.
        search_path: Folder to look for the module in before all others, the recipe's. It is searched
            while the module is imported, so imports of its neighbours belong at the module's top.

    Raises:
        FrontendError: For an unknown name or option, a module that cannot be imported, or a class
            that is no frontend.
    """
    path = BUILT_IN.get(name, name)
    module_name, colon, class_name = path.partition(":")
    if not (module_name and colon and class_name):
        raise FrontendError(
            f'unknown frontend "{name}"',
            expected=f"{', '.join(BUILT_IN)} or package.module:Class",
            hint="name your own class as my_package.my_module:MyFrontend",
        )
    cls = _find_class(_import(module_name, search_path, name), class_name, name)
    _check_options(cls, options, name)
    frontend = _construct(cls, options, name)
    _check_spec(frontend, name)
    return frontend


def _import(module_name: str, search_path: Path | None, name: str) -> ModuleType:
    top = module_name.partition(".")[0]
    with _searched_first(search_path, top):
        try:
            return importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            missing = error.name or ""
            if module_name == missing or module_name.startswith(f"{missing}."):
                raise FrontendError(
                    f'no module "{missing}"',
                    where=name,
                    expected=f"it in {search_path or 'an installed package'} or on the Python path",
                ) from error
            raise FrontendError(
                f'module "{module_name}" needs "{missing}"', where=name, hint="install that package"
            ) from error
        except Exception as error:
            raise FrontendError(
                f'module "{module_name}" cannot be imported',
                where=name,
                got=f"{type(error).__name__}: {error}",
            ) from error


@contextmanager
def _searched_first(folder: Path | None, top: str) -> Iterator[None]:
    """Put a folder before all others on the Python path for the block."""
    if folder is None:
        yield
        return
    _forget_namesake(folder, top)
    entry = str(folder.resolve())
    sys.path.insert(0, entry)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(entry)


def _forget_namesake(folder: Path, top: str) -> None:
    """Drop a module of another folder with the same name, such as that of the recipe loaded before."""
    loaded = sys.modules.get(top)
    own = [path for path in (folder / f"{top}.py", folder / top / "__init__.py") if path.is_file()]
    if loaded is None or not own or top == __name__.partition(".")[0]:
        return
    if Path(loaded.__file__ or "").resolve() != own[0].resolve():
        for name in [name for name in sys.modules if name.partition(".")[0] == top]:
            del sys.modules[name]


def _find_class(module: ModuleType, class_name: str, name: str) -> type:
    found = getattr(module, class_name, None)
    if isinstance(found, type):
        return found
    classes = [
        key for key, value in vars(module).items() if isinstance(value, type) and hasattr(value, "extract")
    ]
    raise FrontendError(
        f'module "{module.__name__}" has no class "{class_name}"',
        where=name,
        expected=f"one of {', '.join(classes)}" if classes else "a class with spec and extract",
    )


def _check_options(cls: type, options: Mapping[str, Any], name: str) -> None:
    parameters = inspect.signature(cls).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    known = [key for key, value in parameters.items() if value.kind is not value.POSITIONAL_ONLY]
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise FrontendError(
            f"unknown option{'s' if len(unknown) > 1 else ''} {', '.join(map(str, unknown))}",
            where=name,
            expected=f"options {', '.join(known)}" if known else "no options",
        )


def _construct(cls: type, options: Mapping[str, Any], name: str) -> Frontend:
    try:
        return cast(Frontend, cls(**options))
    except ValidationError as error:
        problems = "; ".join(_problem(dict(each)) for each in error.errors(include_url=False))
        raise FrontendError(f"wrong options: {problems}", where=name) from error
    except FrontendError:
        raise
    except Exception as error:
        raise FrontendError(
            "the frontend cannot be made with these options",
            where=name,
            expected=f"options that {cls.__name__}{inspect.signature(cls)} takes",
            got=f"{dict(options)}, {type(error).__name__}: {error}",
        ) from error


def _problem(error: dict[str, Any]) -> str:
    place = ".".join(str(part) for part in error["loc"])
    got = f", got {error['input']!r}" if place else ""
    return f"{place}{': ' if place else ''}{error['msg'].removeprefix('Value error, ')}{got}"


def _check_spec(frontend: Frontend, name: str) -> None:
    if not callable(getattr(frontend, "extract", None)):
        raise FrontendError("the class has no method extract(samples, sampling_rate)", where=name)
    try:
        spec: object = getattr(frontend, "spec", None)
    except Exception as error:
        raise FrontendError("its spec fails", where=name, got=f"{type(error).__name__}: {error}") from error
    if not isinstance(spec, FrontendSpec):
        raise FrontendError(
            "the class has no spec",
            where=name,
            expected="an attribute or property spec of type asr_kd.frontend.base.FrontendSpec",
            got=type(spec).__name__,
        )
    faults = _spec_faults(spec)
    if faults:
        raise FrontendError(
            "its spec cannot be right",
            where=name,
            expected="dim, frame_shift (seconds) and sampling_rate above 0 and a fingerprint",
            got=", ".join(faults),
        )


def _spec_faults(spec: FrontendSpec) -> list[str]:
    good = {
        "dim": isinstance(spec.dim, int) and spec.dim > 0,
        "frame_shift": isinstance(spec.frame_shift, int | float) and spec.frame_shift > 0,
        "sampling_rate": isinstance(spec.sampling_rate, int) and spec.sampling_rate > 0,
        "fingerprint": isinstance(spec.fingerprint, str) and bool(spec.fingerprint.strip()),
    }
    if all(good.values()) and spec.frame_shift * spec.sampling_rate < 1:
        return [f"frame_shift {spec.frame_shift} s, less than one sample"]
    return [f"{key} {getattr(spec, key)!r}" for key, is_good in good.items() if not is_good]
