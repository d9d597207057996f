"""The guard around torchaudio's extension, with the extension loading and not loading."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from asr_kd.torchaudio_compat import import_torchaudio


@pytest.fixture
def fake_torchaudio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Folder of a made torchaudio that is found before the real one, which comes back after the test."""
    real = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "torchaudio"}
    for name in real:
        del sys.modules[name]
    package = tmp_path / "torchaudio"
    package.mkdir()
    (package / "__init__.py").write_text("import torchaudio._early\nfrom . import _extension, later\n")
    (package / "_early.py").write_text("")
    (package / "later.py").write_text(
        "import torchaudio\nfrom torchaudio._extension import fail_if_no_align\nEARLY = torchaudio._early\n"
        "@fail_if_no_align\ndef forced_align():\n    return 'aligned'\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield package
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchaudio"]:
        del sys.modules[name]
    sys.modules.update(real)


def _write_extension(package: Path, body: str) -> None:
    (package / "_extension.py").write_text(body)
    importlib.invalidate_caches()


def test_an_extension_that_loads_is_left_alone(fake_torchaudio: Path) -> None:
    _write_extension(fake_torchaudio, "REAL = True\ndef fail_if_no_align(function):\n    return function\n")
    torchaudio = import_torchaudio()
    assert torchaudio._extension.REAL
    assert torchaudio.later.forced_align() == "aligned"


@pytest.mark.parametrize(
    "failure",
    ["OSError('libcudart.so.13: cannot open shared object file')", "RuntimeError('CUDA version clash')"],
)
def test_an_extension_that_cannot_be_loaded_is_left_out(fake_torchaudio: Path, failure: str) -> None:
    _write_extension(fake_torchaudio, f"raise {failure}\n")
    torchaudio = import_torchaudio()
    assert not sys.modules["torchaudio._extension"]._IS_TORCHAUDIO_EXT_AVAILABLE
    assert torchaudio.__file__ == str(fake_torchaudio / "__init__.py")
    with pytest.raises(RuntimeError, match="forced_align needs torchaudio's extension"):
        torchaudio.later.forced_align()
    assert import_torchaudio() is torchaudio


def test_another_failure_is_not_hidden(fake_torchaudio: Path) -> None:
    _write_extension(fake_torchaudio, "raise ImportError('torchaudio is broken')\n")
    with pytest.raises(ImportError, match="torchaudio is broken"):
        import_torchaudio()


def test_a_failure_beside_the_extension_is_not_hidden(fake_torchaudio: Path) -> None:
    _write_extension(fake_torchaudio, "raise OSError('no library')\n")
    (fake_torchaudio / "_early.py").write_text("raise OSError('no space left')\n")
    with pytest.raises(OSError, match="no space left"):
        import_torchaudio()


def test_the_real_torchaudio_computes_without_its_extension() -> None:
    torchaudio = import_torchaudio()
    kaldi = importlib.import_module("torchaudio.compliance.kaldi")
    features = kaldi.fbank(torch.zeros(1, 16000), num_mel_bins=40, snip_edges=False)
    # The logarithm of Kaldi's floor, 2 ** -23.
    np.testing.assert_allclose(features.numpy(), np.full((100, 40), -15.942385), rtol=1e-6)
    assert torchaudio.functional.resample(torch.zeros(160), 16000, 8000).shape == (80,)
