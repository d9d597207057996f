"""The contract check finds each way of breaking the contract."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asr_kd.frontend.base import Frontend, FrontendSpec
from asr_kd.frontend.check import CheckReport, check_frontend, check_named_frontend
from asr_kd.units import num_frames


class _Energy:
    """A frontend that keeps the contract: one mean absolute value a frame."""

    def __init__(self, gain: float = 1.0, mark: str | None = None) -> None:
        self.gain = gain
        self.spec = FrontendSpec(1, 0.01, 16000, mark or f"energy {gain}")

    def extract(self, samples: np.ndarray, sampling_rate: int) -> np.ndarray:
        T = num_frames(len(samples), sampling_rate, 0.01)
        padded = np.resize(np.abs(samples), (T, 160)) if T else np.zeros((0, 160))
        return (self.gain * padded.mean(axis=1, keepdims=True)).astype(np.float32)


class _SnippedEdges(_Energy):
    def extract(self, samples: np.ndarray, sampling_rate: int) -> np.ndarray:
        return super().extract(samples, sampling_rate)[: max(0, 1 + (len(samples) - 400) // 160)]


class _Dithered(_Energy):
    _rng = np.random.default_rng(0)

    def extract(self, samples: np.ndarray, sampling_rate: int) -> np.ndarray:
        noise = self._rng.standard_normal(len(samples)).astype(np.float32)
        return super().extract(samples + noise, sampling_rate)


class _InPlace(_Energy):
    def extract(self, samples: np.ndarray, sampling_rate: int) -> np.ndarray:
        features = super().extract(samples, sampling_rate)
        samples *= 0.5
        return features


class _Buffered(_Energy):
    """Returns a view of one buffer, which the next signal overwrites."""

    _buffer = np.zeros((2000, 1), np.float32)

    def extract(self, samples: np.ndarray, sampling_rate: int) -> np.ndarray:
        features = super().extract(samples, sampling_rate)
        self._buffer[: len(features)] = features
        return self._buffer[: len(features)]


class _Stateful(_Energy):
    """Carries its last signal over into the next."""

    _last = 0.0

    def extract(self, samples: np.ndarray, sampling_rate: int) -> np.ndarray:
        features = super().extract(samples, sampling_rate) + np.float32(self._last)
        self._last = float(samples[0])
        return features


class _LogOfZero(_Energy):
    def extract(self, samples: np.ndarray, sampling_rate: int) -> np.ndarray:
        with np.errstate(divide="ignore"):
            return np.log(super().extract(samples, sampling_rate))


class _Double(_Energy):
    def extract(self, samples: np.ndarray, sampling_rate: int) -> np.ndarray:
        return super().extract(samples, sampling_rate).astype(np.float64)


class _Deaf(_Energy):
    def extract(self, samples: np.ndarray, sampling_rate: int) -> np.ndarray:
        return 0 * super().extract(samples, sampling_rate)


class _TooShort(_Energy):
    def extract(self, samples: np.ndarray, sampling_rate: int) -> np.ndarray:
        if len(samples) < 400:
            raise RuntimeError("choose a window size 400 that is [2, 100]")
        return super().extract(samples, sampling_rate)


class _OtherInBatches(_Energy):
    def extract_batch(self, recordings: list[np.ndarray], sampling_rate: int) -> list[np.ndarray]:
        loudest = max(float(np.abs(samples).max(initial=0)) for samples in recordings)
        return [self.extract(samples / np.float32(1 + loudest), sampling_rate) for samples in recordings]


def _failed(report: CheckReport) -> dict[str, str]:
    return {row.signal: row.why for row in report.rows if not row.ok}


def test_a_frontend_that_keeps_its_contract_passes() -> None:
    report = check_frontend(_Energy())
    assert report.ok, _failed(report)
    frames = {row.signal: (row.expected, row.got) for row in report.rows if row.expected is not None}
    assert frames["one sample"] == (0, 0)
    assert frames["noise, 1 s"] == (100, 100)
    assert frames["noise, 10 s"] == (1000, 1000)
    assert frames["noise, 79 samples"] == (0, 0)
    assert frames["noise, 80 samples"] == (1, 1)
    assert frames["noise, 16,080 samples"] == (101, 101)


@pytest.mark.parametrize(
    ("cls", "signal", "message"),
    [
        (_SnippedEdges, "noise, 1 s", "expected 100 frames, got 98 frames"),
        (_SnippedEdges, "noise, 80 samples", "expected 1 frames, got 0 frames"),
        (_Dithered, "noise, 1 s", "gave other features the second time"),
        (_InPlace, "noise, 1 s", "changed the samples"),
        (_Buffered, "noise, 1 s", "changed when later ones were computed"),
        (_Stateful, "noise, 1 s", "gave other features the second time"),
        (_LogOfZero, "digital silence, 1 s", "not finite; got -inf"),
        (_Double, "noise, 1 s", "expected float32 [T, D], got float64 [100, 1]"),
        (_Deaf, "other noise, other features", "gave the same features"),
        (_OtherInBatches, "recordings together, the same features", "other features than extract"),
        (_TooShort, "silence, one frame", "failed; got RuntimeError: choose a window size"),
    ],
)
def test_each_fault_is_found_at_its_signal(cls: type[_Energy], signal: str, message: str) -> None:
    report = check_frontend(cls())
    assert not report.ok
    assert message in _failed(report)[signal]


def test_frames_got_are_shown_beside_those_expected() -> None:
    rows = {row.signal: row for row in check_frontend(_SnippedEdges()).rows}
    assert (rows["noise, 1 s"].expected, rows["noise, 1 s"].got) == (100, 98)


@pytest.mark.parametrize("mark", [" ", "\n"])
def test_an_empty_fingerprint_is_found(mark: str) -> None:
    assert "fingerprint" in _failed(check_frontend(_Energy(mark=mark)))


class _Rebuild:
    """Makes frontends of a class, with the fingerprint that a function gives to the options."""

    def __init__(self, marks: Any) -> None:
        self._marks = marks

    def __call__(self, changed: Mapping[str, Any]) -> Frontend:
        gain = changed.get("gain", 1.0)
        return _Energy(gain, self._marks(gain))


def test_fingerprints_that_follow_the_options_pass() -> None:
    rebuild = _Rebuild(lambda gain: f"energy {gain}")
    report = check_frontend(rebuild({}), rebuild=rebuild)
    assert report.ok, _failed(report)
    assert "fingerprint with gain=0.75" in [row.signal for row in report.rows]


def test_an_option_that_is_not_in_the_fingerprint_is_found() -> None:
    rebuild = _Rebuild(lambda gain: "energy")
    failed = _failed(check_frontend(rebuild({}), rebuild=rebuild))
    assert list(failed) == ["fingerprint with gain=0.75"]
    assert "the fingerprint did not" in failed["fingerprint with gain=0.75"]


def test_a_fingerprint_of_each_instance_is_found() -> None:
    count = iter(range(100))
    rebuild = _Rebuild(lambda gain: f"instance {next(count)}")
    failed = _failed(check_frontend(rebuild({}), rebuild=rebuild))
    assert "it is instance 0 and instance 1" in failed["second instance, same fingerprint and features"]


def test_instances_of_random_weights_are_found() -> None:
    gains = iter([1.0, 2.0, 3.0, 4.0])

    def rebuild(changed: Mapping[str, Any]) -> Frontend:
        return _Energy(next(gains), "random")

    failed = _failed(check_frontend(rebuild({}), rebuild=rebuild))
    assert "two instances" in failed["second instance, same fingerprint and features"]


def test_recordings_have_rows_of_their_own_and_are_resampled() -> None:
    audio = [
        ("a.wav", np.ones(16000, np.float32), 16000),
        ("b.wav", np.ones(331, np.float32), 22050),
        ("nan.wav", np.full(1600, np.nan, np.float32), 16000),
    ]
    report = check_frontend(
        _Energy(),
        audio,
        resampler=lambda samples, from_rate, to_rate: samples[:240],
    )
    rows = {row.signal: row for row in report.rows}
    assert (rows["a.wav"].expected, rows["a.wav"].got, rows["a.wav"].ok) == (100, 100, True)
    assert (rows["b.wav"].expected, rows["b.wav"].got, rows["b.wav"].ok) == (2, 2, True)
    assert rows["nan.wav"].why == "samples are not finite (NaN or infinite)"
    without = {row.signal: row.why for row in check_frontend(_Energy(), audio).rows}
    assert "no resampler was given" in without["b.wav"]


def test_the_table_as_text() -> None:
    lines = check_frontend(_SnippedEdges()).render().splitlines()
    assert lines[0].split() == ["signal", "frames", "expected", "got", "ok"]
    assert lines[1].split("  ")[0] == "noise, 1 s"
    assert "100   98  NO: features of" in lines[1]
    assert "_SnippedEdges BREAKS its contract: " in lines[-1]
    good = check_frontend(_Energy())
    assert good.render().splitlines()[-1].endswith(f"keeps its contract: {len(good.rows)} ok, 0 failed")
    assert good.render().splitlines()[1].split() == ["noise,", "1", "s", "100", "100", "ok"]


def test_a_user_s_file_is_checked_by_name(tmp_path: Path) -> None:
    (tmp_path / "mute_frontend_for_test.py").write_text(
        "import numpy as np\n"
        "from asr_kd.frontend.base import FrontendSpec\n"
        "class Mute:\n"
        "    def __init__(self, dim=3):\n"
        "        self.spec = FrontendSpec(dim, 0.01, 16000, 'mute')\n"
        "    def extract(self, samples, sampling_rate):\n"
        "        return np.zeros((len(samples) // 160, self.spec.dim), np.float32)\n"
    )
    failed = _failed(check_named_frontend("mute_frontend_for_test:Mute", {"dim": 5}, search_path=tmp_path))
    assert set(failed) == {
        "noise, 80 samples", "noise, 240 samples", "noise, 16,080 samples",
        "other noise, other features", "fingerprint with dim=4",
    }  # fmt: skip
