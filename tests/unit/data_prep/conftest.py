"""What the tests of the corpus modules share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

MakeWav = Callable[..., Path]


@pytest.fixture(autouse=True)
def no_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep downloads of the user's out of the tests, and the tests out of the network."""
    monkeypatch.setenv("ASR_KD_CACHE", str(tmp_path_factory.mktemp("cache")))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    # urllib keeps the proxies of its first call, and so for the tests that come after these.
    monkeypatch.setattr("urllib.request._opener", None)


@pytest.fixture
def make_wav() -> MakeWav:
    """Return a function that writes a short WAV file of noise."""

    def make(path: Path, *, seconds: float = 0.3, rate: int = 8000, level: float = 0.1) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = level * np.random.default_rng(len(path.name)).standard_normal(round(seconds * rate))
        soundfile.write(path, np.clip(noise, -1, 1), rate, subtype="PCM_16")
        return path

    return make
