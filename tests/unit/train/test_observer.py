"""What TensorBoard is told about a training run, and the arithmetic behind the share of the peak."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from asr_kd.am.dnn import Dnn, DnnConfig
from asr_kd.data.windows import Batch
from asr_kd.progress import Meter
from asr_kd.train import observer as observing
from asr_kd.train import speed
from asr_kd.train.config import TrainConfig
from asr_kd.train.log import EpochLog
from asr_kd.train.observer import Observer
from asr_kd.train.speed import MatmulPeak, measured_matmul_flops, training_flop_per_frame

CPU = torch.device("cpu")


def _scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    return {tag: [(row.step, row.value) for row in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def _observe(folder: Path, steps: int) -> None:
    net = Dnn(3, 4, 6, DnnConfig(hidden_layers=2, units=16))
    # Classes 0 and 1 are right, 2 is wrong, and one frame has no label: 2 of 3.
    logits = torch.eye(6)[[0, 1, 5, 3]]
    batch = Batch(torch.zeros(4, 4, 3), {"pdf_ids": torch.tensor([0, 1, 2, -1])})
    with Observer(net, CPU, TrainConfig(), folder, Meter("net", 4 * steps, "frames"), 0) as observer:
        for step in range(steps):
            observer.see(step, logits, batch)
            parts = {"loss": torch.tensor(float(step)), "soft": torch.tensor(2.0), "hard": torch.tensor(1.0)}
            observer.after_step(step + 1, parts, 0.25, 4)
        row = EpochLog(
            epoch=1,
            means={"loss": 0.5},
            dev_accuracy=0.75,
            dev_cross_entropy=1.5,
            learning_rate=0.25,
            frames_per_second=10.0,
        )
        observer.after_epoch(row, steps)


def test_rows_hold_the_means_of_their_steps(tmp_path: Path) -> None:
    _observe(tmp_path, 100)
    seen = _scalars(tmp_path)
    assert seen["step/loss"] == [(50, 24.5), (100, 74.5)]
    assert seen["step/soft"] == [(50, 2.0), (100, 2.0)]
    assert seen["step/hard"] == [(50, 1.0), (100, 1.0)]
    assert seen["step/frame_accuracy"][0][1] == pytest.approx(2 / 3)
    assert seen["step/learning_rate"] == [(50, 0.25), (100, 0.25)]
    assert seen["step/frames_per_second"][0][1] > 0
    assert seen["dev/frame_accuracy"] == [(99, 0.75)]
    assert seen["train/loss"] == [(99, 0.5)]
    assert "step/share_of_matmul_peak" not in seen


def test_share_of_the_peak_is_shown_once_training_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observing, "_SECONDS_BEFORE_PEAK", 0.0)
    monkeypatch.setattr(speed, "measured_matmul_flops", lambda device, dtype: 1e6)
    _observe(tmp_path, 50)
    seen = _scalars(tmp_path)
    frames_per_second = seen["step/frames_per_second"][0][1]
    assert seen["step/share_of_matmul_peak"][0][1] == pytest.approx(frames_per_second * 2880 / 1e6, rel=1e-4)


def test_flop_of_a_frame_by_hand() -> None:
    # 12 -> 16 -> 16 -> 6: 2 (192 + 256 + 96) forward, three times that, less the input's gradient 2 * 192.
    assert training_flop_per_frame(Dnn(3, 4, 6, DnnConfig(hidden_layers=2, units=16))) == 3 * 1088 - 384
    assert training_flop_per_frame(nn.Sequential(nn.Conv1d(3, 4, 3), nn.Linear(4, 6))) == 0
    assert measured_matmul_flops("cpu", torch.float32) > 1e8


def test_the_peak_is_measured_again_and_the_highest_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    # The machine is busy the first time, free the second, and busy again.
    rates = iter([1e9, 3e9, 2e9])
    monkeypatch.setattr(speed, "measured_matmul_flops", lambda device, dtype: next(rates))
    now = 0.0
    peak = MatmulPeak("cpu", torch.float32, lambda: now)
    seen = []
    for now in (0.0, 59.0, 61.0, 100.0, 122.0):  # noqa: B007  # the clock reads it
        seen.append(peak.flops())
    assert seen == [1e9, 1e9, 3e9, 3e9, 3e9]
