from __future__ import annotations

import sys

import pytest

from asr_kd.errors import ConfigError
from asr_kd.train import distributed
from asr_kd.train.launcher import LauncherName, cluster, launcher


def test_this_machine_needs_no_cluster() -> None:
    with launcher(LauncherName.LOCAL):
        assert cluster() is None


def test_ray_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"needs the package ray; pip install 'asr-kd\[ray\]'"):
        launcher(LauncherName.RAY).__enter__()


def test_ray_and_torchrun_are_refused_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    with pytest.raises(ConfigError, match="under torchrun"):
        launcher(LauncherName.RAY).__enter__()
