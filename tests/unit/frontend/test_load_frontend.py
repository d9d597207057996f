"""Loading a frontend by name, and what is said when that fails."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from asr_kd.errors import FrontendError
from asr_kd.frontend.base import BUILT_IN, load_frontend

_GOOD = """
import numpy as np
from asr_kd.frontend.base import FrontendSpec
from asr_kd.units import num_frames

class Energy:
    def __init__(self, gain=1.0):
        self.gain = gain
        self.spec = FrontendSpec(1, 0.01, 16000, f"energy {gain}")

    def extract(self, samples, sampling_rate):
        return np.full((num_frames(len(samples), sampling_rate), 1), self.gain, dtype=np.float32)
"""


def _module(folder: Path, text: str, name: str = "own_frontend_for_test") -> str:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.py").write_text(text)
    return name


@pytest.mark.parametrize(("name", "dim"), [("fbank", 40), ("mfcc", 13), ("librosa_logmel", 40)])
def test_short_names(name: str, dim: int) -> None:
    assert load_frontend(name).spec.dim == dim
    assert name in BUILT_IN


def test_the_default_is_fbank() -> None:
    assert load_frontend().spec == load_frontend("fbank").spec


def test_own_class_from_the_recipes_folder_with_options(tmp_path: Path) -> None:
    name = _module(tmp_path, _GOOD)
    path = list(sys.path)
    frontend = load_frontend(f"{name}:Energy", {"gain": 3.0}, tmp_path)
    assert frontend.extract(np.zeros(1600, np.float32), 16000).tolist() == [[3.0]] * 10
    assert sys.path == path


def test_own_class_in_a_package_by_dotted_path(tmp_path: Path) -> None:
    _module(tmp_path / "own_package_for_test" / "deep", _GOOD, "features")
    assert load_frontend("own_package_for_test.deep.features:Energy", {}, tmp_path).spec.dim == 1


def test_two_recipes_may_have_modules_of_the_same_name(tmp_path: Path) -> None:
    name = _module(tmp_path / "a", _GOOD)
    _module(tmp_path / "b", _GOOD.replace("FrontendSpec(1,", "FrontendSpec(7,"))
    dims = [load_frontend(f"{name}:Energy", {}, tmp_path / folder).spec.dim for folder in "aba"]
    assert dims == [1, 7, 1]


def test_a_module_is_not_imported_twice_from_the_same_folder(tmp_path: Path) -> None:
    name = _module(tmp_path, _GOOD)
    first, second = (load_frontend(f"{name}:Energy", {}, tmp_path) for _ in range(2))
    assert type(first) is type(second)


@pytest.mark.parametrize("name", ["fbnk", "", ":", "module:", ":Class", "my_module.MyClass"])
def test_unknown_name_lists_the_known_ones(name: str) -> None:
    with pytest.raises(FrontendError) as caught:
        load_frontend(name)
    assert f'unknown frontend "{name}"; expected fbank, mfcc, librosa_logmel or package.module:Class' in str(
        caught.value
    )


def test_unknown_option_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(FrontendError, match="fbank: unknown option bins; expected options num_mel_bins, sam"):
        load_frontend("fbank", {"bins": 40})
    name = _module(tmp_path, _GOOD)
    with pytest.raises(FrontendError, match="unknown options a, b; expected options gain"):
        load_frontend(f"{name}:Energy", {"b": 1, "a": 2}, tmp_path)


def test_missing_module_and_missing_dependency_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(FrontendError, match='nowhere_found:X: no module "nowhere_found"; expected'):
        load_frontend("nowhere_found:X", {}, tmp_path)
    name = _module(tmp_path, "import a_package_that_is_not_installed\n")
    with pytest.raises(FrontendError, match=f'"{name}" needs "a_package_that_is_not_installed"; install'):
        load_frontend(f"{name}:X", {}, tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def broken(:\n", "cannot be imported; got SyntaxError: .*line 1"),
        ("1 / 0\n", "cannot be imported; got ZeroDivisionError"),
        ("Energy = 3\n", 'has no class "Energy"; expected a class with spec and extract'),
        (_GOOD.replace("class Energy", "class Enregy"), 'has no class "Energy"; expected one of Enregy'),
        ("class Energy:\n    spec = 1\n", "no method extract"),
        (_GOOD.replace("self.spec =", "self.spek ="), "no spec; expected .*FrontendSpec, got NoneType"),
        (_GOOD.replace("FrontendSpec(1,", "FrontendSpec(0,"), "spec cannot be right; .*got dim 0"),
        (_GOOD.replace("0.01", "0.00001"), "less than one sample"),
        (_GOOD.replace("0.01", "-1.0"), "got frame_shift -1.0"),
        (_GOOD.replace("16000", "'16k'"), "got sampling_rate '16k'"),
        (_GOOD.replace('f"energy {gain}"', '" "'), "got fingerprint ' '"),
        (_GOOD.replace("gain=1.0", "gain"), "cannot be made with these options; .*missing 1 required"),
        (_GOOD.replace("self.gain = gain", "raise KeyError('size')"), "got {}, KeyError: 'size'"),
    ],
)
def test_a_module_or_class_that_is_no_frontend(tmp_path: Path, text: str, message: str) -> None:
    name = _module(tmp_path, text)
    with pytest.raises(FrontendError, match=message) as caught:
        load_frontend(f"{name}:Energy", {}, tmp_path)
    assert "\n" not in str(caught.value)
    assert name in str(caught.value)
